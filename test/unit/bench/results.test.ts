import { describe, expect, test } from 'vitest';

import { joinResults, type MeasuredScenario, type Results } from '../../bench/results.js';

const MACHINE = { cpu: 'cpu', cores: 2, kernel: '6', memoryBytes: 1, versions: { node: 'v20' } };

describe('results of several runs', () => {
  test('stand together in the order of the scenarios, the newer ones in place of the older ones', () => {
    const older = results([scenario('a', 'old'), scenario('c', 'old')], ['rsync', 'script']);
    const newer = results([scenario('b', 'new'), scenario('a', 'new')], ['rsync', 'sersync']);
    const joined = joinResults(JSON.parse(JSON.stringify(older)), newer, ['a', 'b', 'c']);
    expect(joined.scenarios.map(({ name, command }) => [name, command])).toEqual([
      ['a', 'new'],
      ['b', 'new'],
      ['c', 'old'],
    ]);
    expect(joined.contestants.map(({ name }) => name)).toEqual(['rsync', 'sersync', 'script']);
  });

  test.each([
    ['another machine', { ...results([], []), machine: { ...MACHINE, cores: 4 } }],
    ['other versions', { ...results([], []), machine: { ...MACHINE, versions: { node: 'v22' } } }],
    ['small sizes', { ...results([], []), isQuick: true }],
    ['an older form', { ...results([], []), schema: 1 }],
    ['something else', []],
  ])('do not when one is of %s', (_, held) => {
    expect(() => joinResults(held, results([scenario('a', 'new')], ['rsync']), ['a'])).toThrow('name another file');
  });
});

function results(scenarios: readonly MeasuredScenario[], contestants: readonly string[]): Results {
  const named = contestants.map((name) => ({ name, description: name }));
  return { schema: 2, isQuick: false, machine: MACHINE, contestants: named, scenarios };
}

function scenario(name: string, command: string): MeasuredScenario {
  return { name, command, startedAt: '2026-01-01', description: '', limit: '', rows: [], standings: [] };
}
