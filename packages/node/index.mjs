import zkMini from "./index.js";

export const { ZkMini, Server, Fault, ZkMiniError, StartError, ServerError } = zkMini;
