// The server's core: WebAssembly in the page itself. Commands and answers are JSON, handed over byte by byte.

/** Unpacks and starts the core. Returns the function that carries out a command. */
export async function startCore(text) {
  const packed = Uint8Array.from(atob(text.trim()), (char) => char.charCodeAt(0));
  const bytes = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer();
  const { instance } = await WebAssembly.instantiate(bytes, {});
  const { put, run, get } = instance.exports;
  return (command) => {
    for (const byte of new TextEncoder().encode(JSON.stringify(command))) put(byte);
    const answer = new Uint8Array(run());
    for (let index = 0; index < answer.length; index++) answer[index] = get(index);
    return JSON.parse(new TextDecoder().decode(answer));
  };
}
