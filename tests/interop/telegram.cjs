// telegram-test-api as a Bot API server for the tests, with what it lacks against the real one:
// is_bot in getMe, seconds in dates, chat_instance in presses, true for what has no other result,
// offsets and waiting in getUpdates, the webhook's secret, files.
"use strict";
const express = require("express");
const http = require("http");
const { TelegramServer } = require("telegram-test-api/lib/telegramServer");

const FILE = Buffer.from("\u0089PNG-of-a-project", "latin1");
const secrets = {};
let listened = ""; // how the bot last asked for updates

class Server extends TelegramServer {
  addBotMessage(raw, token) {
    const message = super.addBotMessage(raw, token);
    return { ...message, date: Math.floor(message.date / 1000), from: { id: 666, is_bot: true, first_name: "Bot" } };
  }

  editMessageReplyMarkup(raw) {
    const edited = this.storage.botMessages.find((one) => String(one.messageId) === String(raw.message_id));
    if (edited) edited.message.reply_markup = raw.reply_markup ? JSON.parse(raw.reply_markup) : undefined;
  }

  async addUserUpdate(update) {
    const webhook = this.webhooks[update.botToken];
    this.updateId++;
    if (!webhook) return void this.storage.userMessages.push(update);
    const headers = { "content-type": "application/json", "x-telegram-bot-api-secret-token": secrets[update.botToken] };
    await fetch(webhook.url, { method: "POST", headers, body: JSON.stringify(TelegramServer.formatUpdate(update)) });
  }
}

const format = TelegramServer.formatUpdate;
TelegramServer.formatUpdate = (update) => {
  const made = format(update);
  if (made.callback_query) made.callback_query.chat_instance = "1";
  return made;
};

const server = new Server({ storeTimeout: 600 });
const front = express();
front.use(express.json(), express.urlencoded({ extended: true }));
front.all("/bot:token/getMe", (_request, response) =>
  response.json({ ok: true, result: { id: 666, is_bot: true, first_name: "Bot", username: "TestNameBot" } }));
front.get("/listened", (_request, response) => response.send(listened));
front.all("/bot:token/getFile", (request, response) =>
  response.json({ ok: true, result: { file_id: request.body.file_id, file_unique_id: "1", file_path: "photos/1.png" } }));
front.get("/file/bot:token/photos/1.png", (_request, response) => response.send(FILE));
front.all("/bot:token/setWebhook", (request, _response, next) => {
  secrets[request.params.token] = request.body.secret_token;
  listened = "webhook";
  next();
});
front.all("/bot:token/getUpdates", async (request, response) => {
  listened = "polling";
  const offset = Number(request.body.offset || 0);
  const until = Date.now() + Number(request.body.timeout || 0) * 1000;
  let gone = false;
  response.on("close", () => { gone = true; });
  const mine = () => server.storage.userMessages.filter((one) => one.botToken === request.params.token);
  for (const one of mine()) if (one.updateId < offset) one.isRead = true;
  while (!gone && Date.now() < until && !mine().some((one) => !one.isRead)) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  response.json({ ok: true, result: mine().filter((one) => !one.isRead).map(TelegramServer.formatUpdate) });
});
front.all(["/bot:token/setWebhook", "/bot:token/editMessageReplyMarkup", "/bot:token/answerCallbackQuery"],
  (_request, response, next) => {
    const json = response.json.bind(response);
    response.json = (body) => json({ ...body, result: true });
    next();
  });
front.use(server.webServer);
http.createServer(front).listen(0, "127.0.0.1", function listening() {
  console.log(this.address().port);
});
process.stdin.on("end", () => process.exit(0)).resume();
