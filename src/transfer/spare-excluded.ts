/**
 * Deletes what a directory of the remote holds but what the filter keeps there: looks at what is in it, and names what
 * stays to rsync (delete-rules.ts). For `--delete-missing-args` heeds no rules (3.5.0), and rsync knows no regular
 * expressions.
 */
import type { Filter } from '../core/filter.js';
import { ancestorsOf, type RelativePath } from '../core/relative-path.js';
import { NO_RUN, type RunReport } from '../replicate/ports.js';
import { planRemovals, type DeletionRun, type Removal } from './delete-rules.js';
import { mergeReports, wentThrough } from './merge-reports.js';
import { ExtraNames, type Extras, type Unwanted } from './survey.js';

export type OnExtra = (path: RelativePath, isDirectory: boolean) => void;

/** Runs one rsync with such rules. */
export interface RuleRuns {
  /** Names what would be deleted; changes nothing. */
  readonly list: (run: DeletionRun, onExtra: OnExtra) => Promise<RunReport>;
  readonly remove: (run: DeletionRun) => Promise<RunReport>;
}

export interface Sparing {
  readonly report: RunReport;
  /** What of the names the filter keeps, and in what it keeps something. */
  readonly spared: ReadonlySet<RelativePath>;
}

/** What the remote has at and below the names: what of it may go and what stays. */
export async function listUnwanted(
  names: readonly Unwanted[],
  filter: Filter,
  { list }: RuleRuns,
): Promise<{ report: RunReport; extras: Extras }> {
  const { runs, tooLong } = planRemovals(names);
  const inTheWay = names.filter(({ isInTheWay = false }) => isInTheWay).map(({ path }) => path);
  const found = new ExtraNames(filter, new Set(inTheWay));
  let report: RunReport = { ...NO_RUN, complaints: tooLong.map(tooLongFor) };
  for (const run of runs) {
    if (!wentThrough(report)) break;
    const listing = await list(run, (path, isDirectory) => {
      found.add(path, isDirectory);
    });
    report = mergeReports(report, listing);
  }
  return { report, extras: found.result() };
}

export async function removeUnwanted(names: readonly Unwanted[], filter: Filter, runs: RuleRuns): Promise<Sparing> {
  const { report: listing, extras } = await listUnwanted(names, filter, runs);
  const spared = new Set(extras.kept.flatMap((path) => [path, ...ancestorsOf(path)]));
  let report = listing;
  const { runs: removals, tooLong } = planRemovals(removalsOf(names, extras));
  for (const run of removals) {
    if (!wentThrough(report)) break;
    report = mergeReports(report, withoutObstructed(await runs.remove(run), spared));
  }
  return { report: { ...report, complaints: [...report.complaints, ...tooLong.map(tooLongFor)] }, spared };
}

/** The same report without what was said of directories that hold something, where that is as it should be. */
export function withoutObstructed(report: RunReport, names: { has(path: RelativePath): boolean }): RunReport {
  const complaints = report.complaints.filter(
    ({ kind, path }) => kind !== 'obstructed' || path === undefined || !names.has(path),
  );
  const isExplained = complaints.some(({ kind }) => kind !== 'vanished');
  // That was what 23 said, or nothing is known of another reason.
  return { ...report, complaints, exitCode: report.exitCode === 23 && !isExplained ? 0 : report.exitCode };
}

/** Each of the names of which something may go, with what stays in it. */
function removalsOf(names: readonly Unwanted[], extras: Extras): Removal[] {
  const given = new Map(names.map((name) => [name.path, { ...name, keeps: [] as RelativePath[] }]));
  const givenOf = (path: RelativePath): (Removal & { keeps: RelativePath[] }) | undefined => {
    for (const at of [...ancestorsOf(path), path]) {
      const removal = given.get(at);
      if (removal !== undefined) return removal;
    }
    return undefined;
  };
  const going = new Set(extras.names.map(givenOf));
  for (const path of extras.kept) givenOf(path)?.keeps.push(path);
  return [...given.values()].filter((removal) => going.has(removal));
}

export function tooLongFor(path: RelativePath): RunReport['complaints'][number] {
  return {
    path,
    kind: 'lost',
    text: 'its name, or one in it, is too long for the rules by which the remote is told what to delete',
  };
}
