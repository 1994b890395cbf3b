// What the frame and the toolbox say. Each page brings its own texts beside its code.

import { addTexts } from "../i18n.js";

addTexts({
  consoleTitle: "Flightdeck · 资料台", consoleRole: "资料台", consoleSkip: "跳到内容", consoleToChat: "去提问", consoleNav: "资料台的页面",
  consoleKey: "访问密钥", consoleOffline: "连不上服务器。写到一半的都还在，恢复后再保存。", consoleAgain: "已恢复连接。",
  consoleLoading: "正在打开", consoleRetry: "再试一次", consoleCancel: "取消", consoleClose: "关闭", consoleSave: "保存", consoleNothing: "没有这个页面。",
  consoleMore: "再显示一些",
  leaveTitle: "改动还没有保存", leaveText: "现在离开，刚才改的内容就没有了。", leaveYes: "不保存，离开",
  keyTitle: "请填访问密钥", keyWhy: "资料台需要市场部或管理员的密钥。没有的话，请向管理员要一个；密钥只保存在这个标签页里。",
  keyBad: "这个密钥不对，或已经失效。", keyUse: "使用这个密钥", keyForget: "不再使用密钥", keyForgotten: "已清除这个标签页里的密钥。",
  failNetwork: "连不上服务器。请检查网络，或确认 Flightdeck 还在运行。",
  failBroken: "连接中途断了，请再试一次。",
  failUnauthorized: "需要访问密钥。",
  failForbidden: "你的密钥不能做这件事。资料台需要市场部或管理员的密钥。",
  failNotFound: "这里已经没有这份内容了，可能刚被改名、归档或删除。",
  failRate: "操作太快了，请稍等再试。",
  failServer: "服务器出了问题，不是你的操作有误。请稍后再试。",
  failInvalid: "没有做成：{message}",
  failRequest: "请求编号 {id}",
}, {
  consoleTitle: "Flightdeck · Knowledge", consoleRole: "Knowledge", consoleSkip: "Skip to the content", consoleToChat: "Ask a question", consoleNav: "Pages of the console",
  consoleKey: "Access key", consoleOffline: "The server cannot be reached. What you were writing is kept; save it once the server is back.", consoleAgain: "Connected again.",
  consoleLoading: "Opening", consoleRetry: "Try again", consoleCancel: "Cancel", consoleClose: "Close", consoleSave: "Save", consoleNothing: "There is no such page.",
  consoleMore: "Show more",
  leaveTitle: "Your changes are not saved", leaveText: "If you leave now, what you have just changed is lost.", leaveYes: "Leave without saving",
  keyTitle: "Please enter your access key", keyWhy: "This console needs a key of marketing or an admin. Ask your administrator for one; it is kept in this tab only.",
  keyBad: "This key is wrong or no longer valid.", keyUse: "Use this key", keyForget: "Stop using a key", keyForgotten: "The key has been removed from this tab.",
  failNetwork: "The server cannot be reached. Check the network, or whether Flightdeck is still running.",
  failBroken: "The connection broke. Please try again.",
  failUnauthorized: "An access key is needed.",
  failForbidden: "Your key does not allow this. The console needs a key of marketing or an admin.",
  failNotFound: "This is no longer here; it may just have been renamed, archived or deleted.",
  failRate: "Too many requests. Please wait a moment.",
  failServer: "Something went wrong on the server, not on your side. Please try again later.",
  failInvalid: "This could not be done: {message}",
  failRequest: "Request {id}",
});
