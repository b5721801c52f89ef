/**
 * Deleting by name without naming what is missing: pure. For remotes whose rsync refuses a name without a file
 * (`--delete-missing-args`: "invalid file mode 00", exit 2, nothing done; rsync issue 910, seen with Debian's
 * 3.2.7-1+deb12u6, mended in 3.4.4). The directories that held the names are listed instead, with `--delete`, and filter
 * rules put nothing but the names at risk. Rules: rsync(1), "FILTER RULES"; what the code relies on was seen with 3.5.0
 * as the sender and 3.2.7-1+deb12u6 and 3.5.0 as daemons (test/integration/delete-rules.test.ts).
 */
import { ancestorsOf, parentOf, ROOT, toBytes, type RelativePath } from '../core/relative-path.js';

/** How names that are missing here are removed there: each by its name, or by rules that put only them at risk. */
export type DeletesBy = 'names' | 'rules';

/** For the one who runs the service: what is done for such a remote, and the way out. */
export const DELETES_BY_RULES = {
  reason: "the remote's rsync refuses to delete by name, so that deletions go in runs of their own, by filter rules",
  hint: 'update rsync there to 3.4.4 or newer: 3.4.2, 3.4.3 and security updates made from them have this bug',
} as const;

/** A name to be deleted, with what it holds when it is a directory. */
export interface Removal {
  readonly path: RelativePath;
  /** The source has the name all the same, and must not tell of it. */
  readonly isHere?: boolean;
  /** Names below it that stay with all they hold, and so do the directories above them. */
  readonly keeps?: readonly RelativePath[];
}

/** One rsync that deletes. */
export interface DeletionRun {
  readonly names: readonly RelativePath[];
  /** For `--files-from=- --from0`: the directories that held the names. */
  readonly list: Buffer;
  /** For `--filter=. FILE` after `--from0`. */
  readonly rules: Buffer;
}

export interface Deletions {
  readonly runs: readonly DeletionRun[];
  /** Names whose rule would be longer than rsync reads: in no run. */
  readonly tooLong: readonly RelativePath[];
}

/**
 * Names in one run. rsync tries every rule on every name in the listed directories: 10,000 names out of ten directories
 * of 11,000 took 28 s in one run (3.5.0).
 */
const NAMES_PER_RUN = 1_000;
/** rsync reads rules into 5,120 bytes; a longer one ends the run. */
const LONGEST_RULE = 5_000;

/** The runs that delete the names, and what they hold when they are directories; nothing else. Names: not the root. */
export function planDeletions(names: Iterable<RelativePath>): Deletions {
  return planRemovals([...names].map((path) => ({ path })));
}

export function planRemovals(removals: readonly Removal[]): Deletions {
  const tooLong: RelativePath[] = [];
  const fitting: Removal[] = [];
  for (const removal of removals) {
    const isTooLong = rulesOf(removal).some((rule) => rule.length > LONGEST_RULE);
    if (isTooLong) tooLong.push(removal.path);
    else fitting.push(removal);
  }
  // Neighbours go together, so that a directory is listed in few runs.
  fitting.sort(({ path: one }, { path: other }) => compare(parentOf(one), parentOf(other)) || compare(one, other));

  const runs: DeletionRun[] = [];
  for (let at = 0; at < fitting.length; at += NAMES_PER_RUN)
    runs.push(deletionRun(fitting.slice(at, at + NAMES_PER_RUN)));
  return { runs, tooLong };
}

function compare(one: string, other: string): number {
  return one < other ? -1 : Number(one > other);
}

function deletionRun(removals: readonly Removal[]): DeletionRun {
  const names = removals.map(({ path }) => path);
  const parents = new Set(names.map(parentOf));
  const shown = new Set<RelativePath>();
  for (const parent of parents) {
    if (parent === ROOT) continue;
    for (const above of ancestorsOf(parent)) shown.add(above);
    shown.add(parent);
  }
  const rules = [
    // Without it the last rule would hide the listed directories themselves, and the run would silently do nothing.
    ...[...shown].map((directory) => `S /${escape(directory)}/`),
    ...removals.flatMap(rulesOf),
    // Perishable: what a deleted directory holds is not protected, as if there were a rule for it.
    '-p **',
  ];
  return {
    names,
    list: terminated([...parents].map((parent) => (parent === ROOT ? './' : `./${parent}/`))),
    rules: terminated(rules),
  };
}

function rulesOf({ path, isHere = false, keeps = [] }: Removal): string[] {
  const name = escape(path);
  // For the sender too, when the name is missing: if it is back by now it is shown, and so it stays.
  const risk = isHere ? [`H /${name}`, `R /${name}`] : [`+ /${name}`];
  return [...keeps.map((kept) => `P /${escape(kept)}`), ...risk];
}

/** Only in a pattern with a wildcard is the backslash special. */
function escape(path: RelativePath): string {
  return /[*?[]/.test(path) ? path.replace(/[*?[\\]/g, '\\$&') : path;
}

function terminated(lines: readonly string[]): Buffer {
  return toBytes(lines.map((line) => `${line}\0`).join(''));
}

/** Whether the remote has ended the run because of a missing name; the same text stops a remote in verdict.ts. */
export function refusesMissingNames({ messages }: { readonly messages: readonly string[] }): boolean {
  return messages.some((message) => message.startsWith('invalid file mode 00 for '));
}

/** Whether rules mean what they say with these params: rsync converts no rule with `--iconv`, and it would match nothing. */
export function canDeleteByRules(params: readonly string[]): boolean {
  return !params.some((word) => /^--iconv(?:=|$)/.test(word));
}
