import type { CommandEnd, CommandLine } from './command-process.js';

/** What the thread is told. */
export type CommandRequest =
  | { readonly kind: 'run'; readonly id: number; readonly line: CommandLine }
  | { readonly kind: 'cancel'; readonly id: number }
  /** End what ended commands have left behind; answered with `stopped`. */
  | { readonly kind: 'stop' };

export type CommandAnswer =
  { readonly kind: 'ended'; readonly id: number; readonly end: CommandEnd } | { readonly kind: 'stopped' };

export interface CommandThreadData {
  /** What commands leave running in the background is ended after this long. */
  readonly leftForMs: number;
}
