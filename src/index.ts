/** The library: the service and what it is made from, for programs that embed it. */
export type { Config } from './config/config.js';
export { loadConfig } from './config/load-config.js';
export { startService, type Service, type ServiceOptions } from './daemon.js';
export { ConfigError, SersyncError, StartError, UsageError } from './errors.js';
export type { EventMap, Events } from './events.js';
