/** A record to be written. */
export interface Write {
  readonly key: string;
  /** Undefined: the record is removed. */
  readonly value: string | undefined;
}

/** An open database of text records. After a call that has rejected it may only be closed. */
export interface Database {
  /** All records, some at a time, in no order that matters. */
  records(): AsyncIterable<readonly (readonly [key: string, value: string])[]>;
  /** All or none of it, one after the other where a key comes twice; on the disk when it resolves. One call at a time. */
  write(writes: readonly Write[]): Promise<void>;
  close(): Promise<void>;
}

/** The kind of database that a journal is kept in. Rejects with the text of what the system said. */
export interface Storage {
  /** An empty database in a new directory; whatever is at that path is removed. */
  create(directory: string): Promise<Database>;
  /** The database in the directory. A StartError when another process has it open. */
  open(directory: string): Promise<Database>;
}
