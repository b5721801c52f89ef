/**
 * Which folder may import which (docs/architecture.md): main -> daemon -> everything; adapters know core, the leaves and
 * replicate/ports, never each other; queue and replicate know core; core knows nothing. Each third-party library is
 * imported by one file.
 */
const LEAVES = '^src/(errors|events|logger|clock|turns|mount-points|libc|thread-priority)\\.ts$';
const ADAPTERS = ['watch', 'transfer', 'journal', 'schedule', 'plugin', 'observe'];

const adapterRules = ADAPTERS.map((adapter) => ({
  name: `${adapter}-knows-core-and-ports`,
  comment: 'Adapters know core, the leaves and replicate/ports, never each other.',
  severity: 'error',
  from: { path: `^src/${adapter}/` },
  to: {
    path: '^src/',
    pathNot: [`^src/${adapter}/`, '^src/core/', '^src/replicate/ports\\.ts$', '^src/config/config\\.ts$', LEAVES],
  },
}));

/** The one file that may import each third-party library. */
const LIBRARY_HOMES = {
  'fast-xml-parser': '^src/config/confxml\\.ts$',
  '@parcel/watcher': '^src/watch/parcel-watcher\\.ts$',
  koffi: '^src/libc\\.ts$',
  piscina: '^src/transfer/pool\\.ts$',
  'node-cron': '^src/schedule/resync-schedule\\.ts$',
  winston: '^src/observe/winston-logger\\.ts$',
  'classic-level': '^src/journal/level-journal\\.ts$',
  'cli-progress': '^src/observe/progress-bar\\.ts$',
};

const libraryRules = Object.entries(LIBRARY_HOMES).map(([library, home]) => ({
  name: `one-home-for-${library}`,
  severity: 'error',
  from: { path: '^src/', pathNot: home },
  to: { path: `node_modules/${library}(/|$)` },
}));

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-orphans', severity: 'error', from: { orphan: true, pathNot: '^src/(main|index)\\.ts$' }, to: {} },
    {
      name: 'core-knows-nothing',
      comment: 'The core is pure: no clock, disk, process or library.',
      severity: 'error',
      from: { path: '^src/core/' },
      to: { pathNot: '^src/core/' },
    },
    {
      name: 'leaves-know-core-types-only',
      severity: 'error',
      from: { path: LEAVES },
      to: { path: '^src/', pathNot: ['^src/core/', LEAVES] },
    },
    {
      name: 'queue-knows-core',
      severity: 'error',
      from: { path: '^src/queue/' },
      to: { path: '^src/', pathNot: ['^src/queue/', '^src/core/', LEAVES] },
    },
    {
      name: 'replicate-knows-core-and-queue',
      severity: 'error',
      from: { path: '^src/replicate/' },
      to: { path: '^src/', pathNot: ['^src/replicate/', '^src/queue/', '^src/core/', LEAVES] },
    },
    {
      name: 'config-knows-core',
      severity: 'error',
      from: { path: '^src/config/' },
      to: { path: '^src/', pathNot: ['^src/config/', '^src/core/', LEAVES] },
    },
    {
      name: 'nobody-imports-the-daemon',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(main|index|daemon)\\.ts$|^src/cli/' },
      to: { path: '^src/(main|index|daemon)\\.ts$' },
    },
    ...adapterRules,
    ...libraryRules,
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'declared-dependencies',
      severity: 'error',
      from: {},
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown', 'npm-dev'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
  },
};
