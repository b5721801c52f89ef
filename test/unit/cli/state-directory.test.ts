import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openStateDirectory, stateDirectoryFor } from '../../../src/cli/state-directory.js';
import { StartError } from '../../../src/errors.js';

describe('the state directory of a configuration', () => {
  test.each<[string, NodeJS.ProcessEnv, number, RegExp]>([
    ['of root', {}, 0, /^\/var\/lib\/sersync\/confxml-[0-9a-f]{8}$/],
    ['of another user', { XDG_STATE_HOME: '/x' }, 1000, /^\/x\/sersync\/confxml-[0-9a-f]{8}$/],
    ['that is named', { SERSYNC_STATE_DIR: '/s/' }, 0, /^\/s$/],
    ['that is named with nothing', { SERSYNC_STATE_DIR: '' }, 0, /^\/var\/lib\/sersync\/confxml-/],
  ])('%s', (_title, env, uid, expected) => {
    expect(stateDirectoryFor('/etc/confxml.xml', env, uid)).toMatch(expected);
  });

  test('lies in the home directory of a user who names no other place', () => {
    expect(stateDirectoryFor('/etc/c.xml', {}, 1000)).toContain(join(homedir(), '.local/state/sersync/c-'));
  });

  test('is the same by a relative path, and another for another file of that name', () => {
    const found = stateDirectoryFor('confxml.xml', {}, 0);
    expect(stateDirectoryFor(resolve('confxml.xml'), {}, 0)).toBe(found);
    expect(stateDirectoryFor('/elsewhere/confxml.xml', {}, 0)).not.toBe(found);
  });
});

test('a plugin that runs alone has a state directory of its own in that of its configuration', () => {
  const ofSync = stateDirectoryFor('/etc/c.xml', {}, 0);
  expect(stateDirectoryFor('/etc/c.xml', {}, 0, 'socket')).toBe(join(ofSync, 'plugin-socket'));
  expect(stateDirectoryFor('/etc/c.xml', { SERSYNC_STATE_DIR: '/s' }, 0, 'http')).toBe('/s/plugin-http');
});

describe('opening it', () => {
  let top: string;

  beforeEach(() => {
    top = mkdtempSync(join(tmpdir(), 'sersync-state-'));
  });

  afterEach(() => {
    rmSync(top, { recursive: true });
  });

  test('makes it for its owner alone', () => {
    openStateDirectory(join(top, 'a/b'));
    expect(statSync(join(top, 'a/b')).mode & 0o777).toBe(0o700);
  });

  test('leaves one that is there as it is', () => {
    mkdirSync(join(top, 'a'));
    chmodSync(join(top, 'a'), 0o750);
    openStateDirectory(join(top, 'a'));
    expect(statSync(join(top, 'a')).mode & 0o777).toBe(0o750);
  });

  test('fails where it cannot be, with a way out', () => {
    writeFileSync(join(top, 'file'), '');
    const open = (): void => {
      openStateDirectory(join(top, 'file/state'));
    };
    expect(open).toThrow(StartError);
    expect(open).toThrow(`cannot use the state directory ${join(top, 'file/state')}: `);
  });
});
