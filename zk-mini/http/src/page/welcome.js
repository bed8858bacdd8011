// The first visit: nothing is in the server yet, and three commands put something in.

import { copy } from './data-view.js';
import { askCreate } from './edit.js';
import { button, h } from './dom.js';
import { state } from './state.js';

/** True if a server has nothing but the system's nodes, and nobody has looked for anything. */
export function isEmptyServer() {
  return state.path === '/' && !state.at && state.isEmpty === true;
}

/** Host and port of the server, for a client's connect string. */
export const connectString = () => state.status?.connect_string || location.host;

function commands(server) {
  return [
    ['Python, kazoo', `python3 -c "
from kazoo.client import KazooClient
zk = KazooClient('${server}'); zk.start()
zk.create('/hello', b'world', ephemeral=True)
input('Look at the page. Then press Enter: the node goes with its session. ')"`],
    ['Shell', `zk-mini create /hello world --server ${server}`],
    ['Java', `var zk = new ZooKeeper("${server}", 10_000, event -> {});
zk.create("/hello", "world".getBytes(), Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);`],
  ];
}

/** Builds what to say. */
export function welcome() {
  const server = connectString();
  return [
    h('h1', { class: 'plain' }, 'This server is empty'),
    h('p', { class: 'say' }, 'It speaks ZooKeeper’s protocol at ', h('code', {}, server),
      '. Put something in; it appears here at once, and so does the session that holds it.'),
    commands(server).map(([name, text]) => h('div', { class: 'command' },
      h('div', { class: 'bar' }, h('h2', {}, name), h('span', { class: 'grow' }),
        navigator.clipboard && button('Copy', (event) => copy(text, event.currentTarget), { class: 'quiet', 'aria-label': `Copy: ${name}` })),
      h('pre', { tabindex: '0', 'aria-label': name }, text))),
    h('div', { class: 'actions' }, button('Or create a node here', () => askCreate('/', 'hello'), { class: 'main' })),
  ];
}
