/** Fixed keys beside the event's name; the same word for the same thing everywhere. Values are plain data. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Where the program says what it does. `event` is `noun:verb`, such as `remote:unreachable`. */
export interface Logger {
  error(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  debug(event: string, fields?: LogFields): void;
}
