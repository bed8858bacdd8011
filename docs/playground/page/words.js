// Words of the page, in the languages of the book.

const EN = {
  book: 'Back to the book', other: '中文', begin: 'Begin again', ready: 'Everything here happens in this page: no server, no network.',
  try: 'Things to try', clock: 'Clock', move: 'Move', seconds: 'Seconds', still: 'Time stands still until you move it.', bySeconds: (s) => `+${s} s`,
  sessions: 'Sessions', open: 'Open a session', timeout: 'Timeout', pings: 'sends pings', noSessions: 'No session yet.',
  request: 'Request', session: 'Session', do: 'Do', path: 'Path', data: 'Data', mode: 'Kind of node', watch: 'with a watch', send: 'Send',
  ops: { create: 'create', set: 'set data', delete: 'delete', get: 'get data', exists: 'exists?', children: 'get children' },
  modes: { persistent: 'persistent', ephemeral: 'ephemeral', 'persistent-sequential': 'persistent, sequential', 'ephemeral-sequential': 'ephemeral, sequential' },
  tree: 'Tree', version: (n) => `version ${n}`, owner: (n) => `of session ${n}`, watchedBy: (list) => `watched by ${list}`,
  explain: 'Explain', explainHead: 'What happened to a node', log: 'What clients see', nothing: 'Nothing yet.', expire: 'Expire now', close: 'Close', name: (n) => `Session ${n}`,
  silent: 'silent', pinging: 'sends pings', expires: (at, timeout) => `timeout ${timeout}: expires at ${at} unless heard of`, comma: ', ', line: (who, what) => `${who}: ${what}`, aside: (text) => ` (${text})`, ended: { expired: 'expired', closed: 'closed by its client' },
  owns: 'owns', watches: 'watches', kinds: { children: 'children', data: 'node' }, of: (text, n) => `${text}: session ${n}`,
  opened: (ms) => `opened, timeout ${ms}`, expired: 'has expired, and its connection is closed', closedSession: 'closed its session',
  event: (event, path) => `is told: ${event} ${path}`, yes: 'yes', no: 'no', done: 'done', none: 'none', openFirst: 'Open a session first.',
  full: 'These are all the sessions that the page has room for: begin again for more.', broken: 'The core has stopped, which is a defect: load the page again. ',
  stopped: 'The playground cannot run here: it needs a browser of 2023 or later. ',
  steps: [
    ['Open two sessions.', (s) => s.opened >= 2],
    ['Let session 1 create /leader as an ephemeral node.', (s) => s.ephemeral],
    ['Let session 2 ask whether it exists, with a watch.', (s) => s.watched],
    ['Make session 1 silent: take its pings away. Move the clock beyond its timeout, and see who is told.', (s) => s.told],
    ['Explain /leader: who created it, and why is it gone?', (s) => s.explained],
    ['Set a watch again, and change the node twice: a watch tells once.', (s) => s.told >= 2],
    ['Create /job- twice as a sequential node, and compare the names.', (s) => s.sequential >= 2],
  ],
};

const ZH = {
  book: '返回本书', other: 'English', begin: '重新开始', ready: '一切都在这个页面里运行：没有服务器，也不用网络。',
  try: '试一试', clock: '时钟', move: '拨动', seconds: '秒', still: '不拨动时钟，时间就静止不动。', bySeconds: (s) => `+${s} 秒`,
  sessions: '会话', open: '打开会话', timeout: '超时', pings: '发送心跳', noSessions: '还没有会话。',
  request: '请求', session: '会话', do: '操作', path: '路径', data: '数据', mode: '节点类型', watch: '同时设置监视', send: '发送',
  ops: { create: '创建（create）', set: '写数据（set）', delete: '删除（delete）', get: '读数据（get）', exists: '是否存在（exists）', children: '读子节点（children）' },
  modes: { persistent: '持久节点', ephemeral: '临时节点', 'persistent-sequential': '持久顺序节点', 'ephemeral-sequential': '临时顺序节点' },
  tree: '节点树', version: (n) => `版本 ${n}`, owner: (n) => `属于会话 ${n}`, watchedBy: (list) => `监视者：${list}`,
  explain: '查明原因', explainHead: '节点的来龙去脉', log: '客户端看到了什么', nothing: '还什么都没发生。', expire: '立即过期', close: '关闭', name: (n) => `会话 ${n}`,
  silent: '沉默', pinging: '发送心跳', expires: (at, timeout) => `超时 ${timeout}：再无消息则在 ${at} 过期`, comma: '，', line: (who, what) => `${who}：${what}`, aside: (text) => `（${text}）`, ended: { expired: '已过期', closed: '已由客户端关闭' },
  owns: '拥有', watches: '监视', kinds: { children: '子节点', data: '节点' }, of: (text, n) => `${text}：会话 ${n}`,
  opened: (ms) => `已打开，超时 ${ms}`, expired: '已过期，连接被关闭', closedSession: '关闭了自己的会话',
  event: (event, path) => `收到通知：${event} ${path}`, yes: '存在', no: '不存在', done: '完成', none: '无', openFirst: '请先打开一个会话。',
  full: '页面只能容纳这么多会话：要打开更多，请重新开始。', broken: '核心停止了，这是一个缺陷：请重新加载页面。',
  stopped: '演练场无法在这里运行：需要 2023 年以后的浏览器。',
  steps: [
    ['打开两个会话。', EN.steps[0][1]],
    ['让会话 1 创建临时节点 /leader。', EN.steps[1][1]],
    ['让会话 2 查询它是否存在，同时设置监视。', EN.steps[2][1]],
    ['让会话 1 沉默：取消它的心跳。把时钟拨过超时时间，看看谁会收到通知。', EN.steps[3][1]],
    ['对 /leader 查明原因：谁创建了它？为什么没有了？', EN.steps[4][1]],
    ['再设置一次监视，然后改动节点两次：一个监视只通知一次。', EN.steps[5][1]],
    ['创建两次顺序节点 /job-，比较它们的名字。', EN.steps[6][1]],
  ],
};

export const w = document.documentElement.lang === 'zh-CN' ? ZH : EN;
