import zkMini from "./index.js";

export const { ZkMini, Fault, ZkMiniError, StartError, ServerError } = zkMini;
