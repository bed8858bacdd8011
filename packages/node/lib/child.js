"use strict";
const { spawn } = require("node:child_process");
const { StartError } = require("./errors.js");
const { addressOf } = require("./http.js");

/** Characters of the log that are kept. */
const LOG_LIMIT = 64 * 1024;
/** Time for a clean stop, after which the server is killed. */
const STOP_MS = 5000;
/** Time in which a process is seen to end after its connections broke. */
const ENDING_MS = 1000;

/** A server as a child process. It ends when its standard input closes, so it never outlives this process. */
class Child {
  /** Starts a server, and returns once it serves. */
  static async start(program, args, timeoutMs) {
    const child = new Child(program, args);
    try {
      child.ready = await child.#firstLine(timeoutMs);
    } catch (error) {
      await child.kill();
      throw error;
    }
    child.#unref();
    return child;
  }

  #process;
  #log = "";
  /** Settled when the process has ended and all of its log was read. */
  #ended;

  constructor(program, args) {
    this.program = program;
    const all = ["serve", "--listen", "127.0.0.1:0", "--ready", "json", "--stop-on-eof", ...args];
    // Detached from the terminal: Ctrl-C is for the tests, which may still ask the server what has happened.
    this.#process = spawn(program, all, { stdio: ["pipe", "pipe", "pipe"], detached: true });
    // Writing to the pipe of a server that has ended fails; nothing is ever written.
    this.#process.stdin.on("error", () => {});
    this.#process.stderr.setEncoding("utf8").on("data", (text) => {
      this.#log = (this.#log + text).slice(-LOG_LIMIT);
    });
    this.#ended = new Promise((resolve) => {
      this.#process.once("error", (error) => resolve(`cannot be run: ${error.message}`));
      this.#process.once("close", (status, signal) => resolve(signal ? `was ended by ${signal}` : `ended with status ${status}`));
    });
    this.#ended.then((how) => (this.ending = how));
  }

  get pid() {
    return this.#process.pid;
  }

  get log() {
    return this.#log;
  }

  /** Returns how the process ended, if it does within a moment: the kernel closes its connections first. */
  async endsSoon() {
    await this.#untilEnded(ENDING_MS);
    if (this.ending === undefined) this.#unref();
    return this.ending;
  }

  async stop() {
    this.#process.stdin.end();
    await this.#untilEnded(STOP_MS);
    await this.kill();
  }

  async kill() {
    if (this.ending !== undefined) return;
    // A process that the program has started may hold its output open.
    const close = () => [this.#process.stdout, this.#process.stderr].forEach((output) => output?.destroy());
    if (this.#process.kill("SIGKILL")) this.#process.once("exit", close);
    else close();
    await this.#untilEnded();
  }

  async #firstLine(timeoutMs) {
    let timer;
    const timeout = new Promise((_, reject) => {
      const message = `${this.program} did not say within ${timeoutMs} ms that it is ready`;
      timer = setTimeout(() => reject(new StartError(message, this.#log)), timeoutMs);
    });
    const failed = this.#ended.then((how) => {
      throw new StartError(`the server did not start: ${this.program} ${how}`, this.#log);
    });
    try {
      return await Promise.race([this.#line(), failed, timeout]);
    } finally {
      clearTimeout(timer);
    }
  }

  #line() {
    return new Promise((resolve, reject) => {
      let text = "";
      this.#process.stdout.setEncoding("utf8").on("data", (chunk) => {
        text += chunk;
        const end = text.indexOf("\n");
        if (end < 0) return;
        try {
          resolve(whereOf(JSON.parse(text.slice(0, end))));
        } catch (cause) {
          reject(new StartError(`${this.program} is no zk-mini: its first line is ${text.slice(0, end)}`, this.#log, { cause }));
        }
      });
    });
  }

  /** Lets the event loop end while the server runs. */
  #unref() {
    for (const part of this.#handles()) part.unref();
  }

  async #untilEnded(timeoutMs) {
    for (const part of this.#handles()) part.ref();
    let timer;
    const timeout = timeoutMs && new Promise((resolve) => (timer = setTimeout(resolve, timeoutMs)));
    await Promise.race([this.#ended, timeout].filter(Boolean));
    clearTimeout(timer);
  }

  #handles() {
    return [this.#process, this.#process.stdin, this.#process.stdout, this.#process.stderr].filter((part) => part && part.ref);
  }
}

/** Returns the addresses of a server from the line that says that it is ready; throws any error if that is another line. */
function whereOf({ listen, http, http_on: [control] }) {
  return { hosts: listen.join(","), http: http && `http://${addressOf(http)}`, control: control && `http://${control}` };
}

module.exports = { Child };
