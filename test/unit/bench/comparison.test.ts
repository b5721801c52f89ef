import { describe, expect, it } from 'vitest';

import { compare, lossesFirst } from '../../bench/comparison.js';
import type { ScenarioResults, Standing } from '../../bench/results.js';
import type { Row } from '../../bench/scenario.js';

const ROW: Row = { label: 'write', metric: 'lagMs', statistic: 'median', unit: 'ms' };

describe('the table of ratios', () => {
  it('divides the median of all rounds by that of the limit and by ours', () => {
    const [compared] = compare(
      results([measured('sersync', [2], [4], [100]), measured('lsyncd', [40]), measured('rsync', [8])]),
    );
    expect(compared!.cells).toEqual([
      { contestant: 'sersync', state: 'measured', value: 4, toLimit: 0.5, toSubject: 1 },
      { contestant: 'lsyncd', state: 'measured', value: 40, toLimit: 5, toSubject: 10 },
      { contestant: 'rsync', state: 'measured', value: 8, toLimit: 1, toSubject: 2 },
    ]);
    expect(compared!.lostTo).toEqual([]);
  });

  it('gives no number to who failed in a later round, however fast it was before', () => {
    const failed: Standing = { ...measured('script', [1]), state: 'timed out', reason: 'in round 2' };
    const [compared] = compare(results([measured('sersync', [5]), failed]));
    expect(compared!.cells[1]).toEqual({ contestant: 'script', state: 'timed out', value: undefined });
    expect(compared!.lostTo).toEqual([]);
  });

  it('takes a limit that was not measured for no limit', () => {
    const [compared] = compare(results([measured('sersync', [5]), { ...measured('rsync'), state: 'left out' }]));
    expect(compared!.cells[0]).toEqual({ contestant: 'sersync', state: 'measured', value: 5, toSubject: 1 });
  });

  it('names all to whom ours has lost, the limit too, but neither a draw nor ours in another configuration', () => {
    const [compared] = compare(
      results([
        measured('sersync', [100]),
        measured('sersync-cold', [50]),
        measured('lsyncd', [99]),
        measured('script', [90]),
        measured('rsync', [20]),
      ]),
    );
    expect(compared!.lostTo).toEqual(['script', 'rsync']);
  });

  it('relates two metrics of one contestant by the same statistic', () => {
    const rows: Row[] = [{ ...ROW, statistic: 'p99', unit: 'times', relativeTo: 'aloneMs' }];
    const rounds = [{ lagMs: [10, 30], aloneMs: [1, 10] }];
    const [compared] = compare({ ...results([{ ...measured('sersync'), rounds }]), rows });
    expect(compared!.cells[0]).toEqual({ contestant: 'sersync', state: 'measured', value: 3 });
  });

  it('puts losses first, then what is not known of ours, then the rest', () => {
    const won = results([measured('sersync', [1]), measured('script', [2])]);
    const unknown = results([{ ...measured('sersync'), state: 'failed' }, measured('script', [2])]);
    const lost = results([measured('sersync', [3]), measured('script', [2])]);
    const ordered = lossesFirst([won, unknown, lost].flatMap(compare)).map(({ scenario }) => scenario);
    expect(ordered).toEqual([lost, unknown, won]);
  });
});

function measured(contestant: string, ...rounds: readonly (readonly number[])[]): Standing {
  return { contestant, state: 'measured', rounds: rounds.map((lagMs) => ({ lagMs })) };
}

function results(standings: readonly Standing[]): ScenarioResults {
  return { name: 'write', description: '', limit: '', rows: [ROW], standings };
}
