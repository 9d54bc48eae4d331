// Encrypts, decrypts and signs with the libraries of others. One JSON request a line, one JSON answer a line.
"use strict";
const readline = require("readline");
const WechatCrypto = require("wechat-crypto");
const wecom = require("@wecom/crypto");

const libraries = {
  "wechat-crypto": {
    encrypt: (one) => new WechatCrypto(one.token, one.key, one.id).encrypt(one.text),
    decrypt: (one) => new WechatCrypto(one.token, one.key, one.id).decrypt(one.text),
    sign: (one) => new WechatCrypto(one.token, one.key, one.id).getSignature(one.timestamp, one.nonce, one.text),
  },
  "@wecom/crypto": {
    encrypt: (one) => wecom.encrypt(one.key, one.text, one.id),
    decrypt: (one) => wecom.decrypt(one.key, one.text),
    sign: (one) => wecom.getSignature(one.token, one.timestamp, one.nonce, one.text),
  },
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const one = JSON.parse(line);
  process.stdout.write(JSON.stringify(libraries[one.library][one.act](one)) + "\n");
});
