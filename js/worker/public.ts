export { ForemapError } from "../errors.js";
export type { ErrorCode } from "../errors.js";
export type { CacheOptions, PrefetchOptions } from "../types.js";
export type { EdgeWorker, WorkerContext, WorkerOptions } from "./options.js";
