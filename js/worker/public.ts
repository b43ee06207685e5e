export { ForemapError } from "../errors.js";
export type { ErrorCode } from "../errors.js";
export type { CacheOptions, PrefetchOptions } from "../types.js";
export type { HubOptions, HubState } from "./hub.js";
export type { HubNamespace } from "./hubs.js";
export type { HubStorage } from "./hub-store.js";
export type { EdgeWorker, WorkerContext, WorkerOptions } from "./options.js";
