import { PLUGIN_NAMES } from '../config/config.js';
import { DEFAULT_CONFIG_FILE, DEFAULT_THREADS } from './options.js';

/** What `-h` prints. */
export const HELP = `sersync: pushes a directory to several rsync servers as it changes
         实时监控目录，并用 rsync 同步到多台服务器

usage 用法:
  sersync -r -d -o /etc/sersync/confxml.xml

options 参数:
  -d        run in the background, once the watch is up   启动成功后在后台运行
  -r        a full sync to every remote at the start      启动时先做一次全量同步
  -o FILE   the configuration file (${DEFAULT_CONFIG_FILE})          指定配置文件
  -n NUM    worker threads at most (${DEFAULT_THREADS})                   工作线程数上限
  -m NAME   run one plugin alone and sync nothing         只运行插件，不做同步
            ${PLUGIN_NAMES.join(', ')}
  -h        this help                                     显示帮助
  --version the version                                   显示版本

configurations 配置文件 (nothing is started 不启动同步):
  sersync check -o FILE     what it means, what is wrong with it  检查配置文件
          [-m NAME] [--json]  for a plugin alone; for programs    仅插件；输出 JSON
  sersync migrate FILE...   what changes from sersync 2.5, and    从 2.5 迁移，
          [-o NEWFILE]      one file joined from several          合并多个配置文件

commands 命令 (the service of a configuration: -o FILE 指定配置文件):
  sersync status            how the service and its remotes are   查看运行状态
  sersync status --health   one line; exit code 0 when it is well 健康检查
  sersync held              deletions that wait, name by name     查看暂缓的删除
  sersync held --release    lets them go                          放行暂缓的删除
            --json          the same for programs                 输出 JSON
            -m NAME         the service that runs a plugin alone  单独运行的插件
  sersync help              this help                             显示帮助

environment 环境变量:
  SERSYNC_STATE_DIR=DIR                 where state and log are 状态目录
  SERSYNC_WATCHER=auto|inotify|parcel   how the tree is watched   监控方式
`;
