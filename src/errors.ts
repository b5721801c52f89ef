/**
 * Errors by what the program does about them. Each carries a stable `code`, what was tried and found (`message`), and
 * what the person in front of it can do next (`hint`).
 */
export class SersyncError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly hint?: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = new.target.name;
  }

  /** Message and next step, as shown to a person. */
  explain(): string {
    return this.hint === undefined ? this.message : `${this.message}\n  -> ${this.hint}`;
  }
}

/** The command line cannot be understood: exit code 2. */
export class UsageError extends SersyncError {
  constructor(message: string, hint?: string) {
    super('SERSYNC_USAGE', message, hint);
  }
}

/** The service cannot start as it was asked to: exit code 1. */
export class StartError extends SersyncError {}

/** One thing found in a configuration file. `line` and `column` count from 1; 0 when no line can be named. */
export interface ConfigProblem {
  readonly severity: 'error' | 'warning';
  readonly line: number;
  readonly column?: number;
  /** What was found and why it is a problem. */
  readonly message: string;
  /** What to write instead. */
  readonly hint?: string;
  /** What was broken and could be mended: as it is read now. Empty when it is left out. */
  readonly mended?: string;
}

/** The configuration cannot be used; all that is wrong with it at once: exit code 1. */
export class ConfigError extends SersyncError {
  constructor(
    readonly file: string,
    readonly problems: readonly ConfigProblem[],
  ) {
    super('SERSYNC_CONFIG', problems.map((problem) => describeProblem(file, problem)).join('\n'));
  }
}

export function describeProblem(file: string, problem: ConfigProblem): string {
  const column = problem.column === undefined ? '' : `:${problem.column}`;
  const place = problem.line > 0 ? `${file}:${problem.line}${column}` : file;
  const hint = problem.hint === undefined ? '' : `\n  -> ${problem.hint}`;
  const mended = (problem.mended ?? '') === '' ? '' : `\n  read as ${problem.mended ?? ''}`;
  return `${place}: ${problem.severity}: ${problem.message}${mended}${hint}`;
}

/** The text of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
