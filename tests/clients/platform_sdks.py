"""The chat platforms' own Python SDKs against the fake platforms of the tests, and against the server.

One JSON object a line: the SDK, what it did, whether that held. `tests/channels/sdks.rs` starts both sides.
"""

import asyncio
import json
import os
import threading
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request
from importlib.metadata import version

FAKE, SERVER = os.environ["FLIGHTDECK_FAKE"], os.environ["FLIGHTDECK_BASE"]
TOKEN, AES_KEY = "t", os.environ["FLIGHTDECK_AES_KEY"]
SECRET = os.environ["FLIGHTDECK_SECRET"]
QUESTION = "K7 整机保修多久？"


def check(package, what, work):
    try:
        work()
        ok, note = True, ""
    except Exception as error:
        traceback.print_exc()
        ok, note = False, repr(error)
    print(json.dumps({"sdk": f"{package} {version(package)}", "check": what, "ok": ok, "note": note}), flush=True)


def call(url, body=None, headers=None):
    data = body.encode() if isinstance(body, str) else body
    request = urllib.request.Request(url, data=data, headers=headers or {})
    with urllib.request.urlopen(request, timeout=30) as response:
        assert response.status == 200, response.status
        return response.read().decode()


def refused(url, body, headers):
    try:
        call(url, body, headers)
    except urllib.error.HTTPError as error:
        return error.code == 401
    return False


def wecom():
    from wechatpy.enterprise import WeChatClient
    from wechatpy.enterprise.crypto import WeChatCrypto

    crypto = WeChatCrypto(TOKEN, AES_KEY, "corp")
    now = str(int(time.time()))

    def address_is_checked():
        sealed = crypto.encrypt_message("3141592653", "n1", now)
        encrypt = sealed.split("<Encrypt><![CDATA[")[1].split("]]>")[0]
        signature = sealed.split("<MsgSignature><![CDATA[")[1].split("]]>")[0]
        query = urllib.parse.urlencode(
            {"msg_signature": signature, "timestamp": now, "nonce": "n1", "echostr": encrypt}
        )
        assert call(f"{SERVER}/webhooks/wecom/app?{query}") == "3141592653"

    def message_is_taken():
        plain = (
            f"<xml><ToUserName>corp</ToUserName><FromUserName>sdk</FromUserName><CreateTime>{now}</CreateTime>"
            f"<MsgType>text</MsgType><Content>{QUESTION}</Content><MsgId>77</MsgId><AgentID>7</AgentID></xml>"
        )
        sealed = crypto.encrypt_message(plain, "n2", now)
        signature = sealed.split("<MsgSignature><![CDATA[")[1].split("]]>")[0]
        query = urllib.parse.urlencode({"msg_signature": signature, "timestamp": now, "nonce": "n2"})
        call(f"{SERVER}/webhooks/wecom/app?{query}", sealed)
        forged = urllib.parse.urlencode({"msg_signature": signature, "timestamp": now, "nonce": "n3"})
        assert refused(f"{SERVER}/webhooks/wecom/app?{forged}", sealed, {})

    def client(account):
        made = WeChatClient("corp", "s")
        made.API_BASE_URL = f"{FAKE}/{account}/cgi-bin/"
        # The SDK's address for tokens is fixed, so the token is fetched beside it.
        token = json.loads(call(f"{FAKE}/{account}/cgi-bin/gettoken?corpid=corp&corpsecret=s"))
        made.session.set(made.access_token_key, token["access_token"], 7200)
        made.expires_at = int(time.time()) + 7200
        return made

    def app_sends():
        assert client("app").message.send_text(7, "sdk-reader", "您好")["errcode"] == 0

    def kf_pulls_and_sends():
        # This SDK has no words of its own for 微信客服; its client reads tokens and error codes as elsewhere.
        kf = client("kf")
        who = {"open_kfid": "wk", "external_userid": "sdk-customer"}
        assert "msg_list" in kf.post("kf/sync_msg", data={"open_kfid": "wk", "cursor": "", "token": "p"})
        assert kf.post("kf/service_state/get", data=who)["service_state"] == 0
        said = {"touser": "sdk-customer", "open_kfid": "wk", "msgid": "sdk-1", "msgtype": "text"}
        assert kf.post("kf/send_msg", data={**said, "text": {"content": "您好"}})["errcode"] == 0

    check("wechatpy", "checks the address", address_is_checked)
    check("wechatpy", "its sealed message is taken, a forged one is not", message_is_taken)
    check("wechatpy", "sends as an app", app_sends)
    check("wechatpy", "pulls and sends as 微信客服", kf_pulls_and_sends)


def slack():
    from slack_sdk import WebClient
    from slack_sdk.errors import SlackApiError
    from slack_sdk.signature import SignatureVerifier

    def sends():
        client = WebClient(token="xoxb", base_url=f"{FAKE}/slack/")
        assert client.auth_test()["ok"]
        assert client.chat_postMessage(channel="sdk-channel", text="您好", thread_ts="1.2")["ts"]

    def knows_the_limits():
        try:
            WebClient(token="another", base_url=f"{FAKE}/slack/").auth_test()
            raise AssertionError("a wrong token was taken")
        except SlackApiError as error:
            assert error.response["error"] == "invalid_auth", error.response

    def message_is_taken():
        event = {"type": "message", "channel_type": "im", "user": "U", "channel": "sdk", "ts": "1.2", "text": QUESTION}
        body = json.dumps({"type": "event_callback", "event_id": "sdk-1", "event": event})
        now = str(int(time.time()))
        signature = SignatureVerifier("s").generate_signature(timestamp=now, body=body)
        headers = {"X-Slack-Request-Timestamp": now, "X-Slack-Signature": signature}
        call(f"{SERVER}/webhooks/slack/slack", body, headers)
        assert refused(f"{SERVER}/webhooks/slack/slack", body + " ", headers)

    def streams():
        client = WebClient(token="xoxb", base_url=f"{FAKE}/slack/")
        chunk = [{"type": "markdown_text", "text": "您好，"}]
        who = {"recipient_team_id": "T", "recipient_user_id": "U"}
        ts = client.chat_startStream(channel="sdk-stream", thread_ts="1.2", **who)["ts"]
        assert client.chat_appendStream(channel="sdk-stream", ts=ts, chunks=chunk)["ok"]
        assert client.chat_stopStream(channel="sdk-stream", ts=ts, chunks=chunk)["ok"]
        try:
            client.chat_stopStream(channel="sdk-stream", ts=ts)
            raise AssertionError("a stream was stopped twice")
        except SlackApiError as error:
            assert error.response["error"] == "message_not_in_streaming_state", error.response

    check("slack_sdk", "its signed event is taken, a forged one is not", message_is_taken)
    check("slack_sdk", "sends", sends)
    check("slack_sdk", "starts a stream, appends to it and stops it once", streams)
    check("slack_sdk", "is told of a wrong token", knows_the_limits)


def slack_socket():
    from slack_bolt import App
    from slack_bolt.adapter.socket_mode import SocketModeHandler
    from slack_sdk import WebClient

    heard = threading.Event()

    def hears():
        app = App(client=WebClient(token="xoxb", base_url=f"{FAKE}/slack/"), signing_secret="s")

        @app.event("message")
        def on_message(event):
            assert event["text"] == QUESTION, event
            heard.set()

        handler = SocketModeHandler(app, "xapp")
        handler.client.web_client.base_url = f"{FAKE}/slack/"
        handler.connect()
        assert heard.wait(60), "nothing was heard"
        time.sleep(1)
        handler.close()

    check("slack_bolt", "hears a message over the fake's socket and acknowledges it", hears)


def webhooks():
    from datetime import datetime, timezone

    from standardwebhooks import Webhook

    signer = Webhook(SECRET)

    def message_is_taken():
        data = {"conversation_id": "sdk", "message_id": "sdk-1", "sender": "客户", "text": QUESTION}
        body = json.dumps({"type": "message.created", "data": data})
        now = datetime.now(timezone.utc)
        headers = {
            "webhook-id": "evt-sdk",
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signer.sign("evt-sdk", now, body),
        }
        call(f"{SERVER}/webhooks/webhook/site", body, headers)
        assert refused(f"{SERVER}/webhooks/webhook/site", body + " ", headers)

    def answer_is_verified():
        for _ in range(600):
            last = json.loads(call(f"{FAKE}/site/last"))
            if last:
                event = signer.verify(last["body"], last["headers"])
                event = json.loads(last["body"]) if event is None else event
                assert event["type"] == "reply.created" and "24" in event["data"]["text"], event
                return
            time.sleep(0.1)
        raise AssertionError("no answer came")

    check("standardwebhooks", "its signed message is taken, a forged one is not", message_is_taken)
    check("standardwebhooks", "verifies the answer", answer_is_verified)


def dingtalk():
    os.environ["DINGTALK_OPENAPI_ENDPOINT"] = f"{FAKE}/ding"
    import dingtalk_stream

    heard = threading.Event()

    class Handler(dingtalk_stream.ChatbotHandler):
        async def process(self, callback):
            message = dingtalk_stream.ChatbotMessage.from_dict(callback.data)
            assert message.text.content.strip() == QUESTION, message.text.content
            self.reply_text("收到", message)
            card = dingtalk_stream.AICardReplier(self.dingtalk_client, message)
            track = card.create_and_deliver_card("t.schema", {"content": ""})
            for text, finished in [("您好", False), ("您好，卡片", True)]:
                card.streaming(track, "content", text, append=False, finished=finished, failed=False)
            heard.set()
            return dingtalk_stream.AckMessage.STATUS_OK, "OK"

    def streams():
        client = dingtalk_stream.DingTalkStreamClient(dingtalk_stream.Credential("k", "s"))
        client.register_callback_handler(dingtalk_stream.ChatbotMessage.TOPIC, Handler())
        threading.Thread(target=lambda: asyncio.run(client.start()), daemon=True).start()
        assert heard.wait(60), "nothing was heard"
        time.sleep(1)

    def gets_a_token():
        client = dingtalk_stream.DingTalkStreamClient(dingtalk_stream.Credential("k", "s"))
        assert client.get_access_token().startswith("token-")

    check("dingtalk-stream", "hears a message over the fake's stream, replies, and streams a card", streams)
    check("dingtalk-stream", "gets a token", gets_a_token)


def feishu():
    import lark_oapi as lark
    from lark_oapi.api.im.v1 import ReplyMessageRequest, ReplyMessageRequestBody

    def replies():
        client = lark.Client.builder().app_id("a").app_secret("s").domain(FAKE).build()
        card = {"schema": "2.0", "body": {"elements": [{"tag": "markdown", "content": "您好"}]}}
        for kind, content in [("text", {"text": "您好"}), ("interactive", card)]:
            body = ReplyMessageRequestBody.builder().msg_type(kind).content(json.dumps(content)).uuid(kind).build()
            request = ReplyMessageRequest.builder().message_id("sdk-message").request_body(body).build()
            response = client.im.v1.message.reply(request)
            assert response.success(), (response.code, response.msg)

    def fills_a_card():
        from lark_oapi.api.cardkit.v1 import (
            ContentCardElementRequest,
            ContentCardElementRequestBody,
            CreateCardRequest,
            CreateCardRequestBody,
            SettingsCardRequest,
            SettingsCardRequestBody,
        )

        client = lark.Client.builder().app_id("a").app_secret("s").domain(FAKE).build()
        element = {"tag": "markdown", "content": "……", "element_id": "answer_md"}
        card = {"schema": "2.0", "config": {"streaming_mode": True}, "body": {"elements": [element]}}
        body = CreateCardRequestBody.builder().type("card_json").data(json.dumps(card)).build()
        made = client.cardkit.v1.card.create(CreateCardRequest.builder().request_body(body).build())
        assert made.success(), (made.code, made.msg)
        content = json.dumps({"type": "card", "data": {"card_id": made.data.card_id}})
        body = ReplyMessageRequestBody.builder().msg_type("interactive").content(content).uuid("sdk-card").build()
        request = ReplyMessageRequest.builder().message_id("sdk-card-message").request_body(body).build()
        assert client.im.v1.message.reply(request).success()

        def write(text, sequence):
            body = ContentCardElementRequestBody.builder().uuid(f"u{sequence}").content(text).sequence(sequence).build()
            request = ContentCardElementRequest.builder().card_id(made.data.card_id).element_id("answer_md")
            return client.cardkit.v1.card_element.content(request.request_body(body).build())

        assert write("您好", 1).success() and write("您好，卡片", 2).success()
        assert write("晚了", 2).code == 300317, "a number that does not rise was taken"
        settings = json.dumps({"config": {"streaming_mode": False}})
        body = SettingsCardRequestBody.builder().settings(settings).uuid("u9").sequence(3).build()
        request = SettingsCardRequest.builder().card_id(made.data.card_id).request_body(body).build()
        assert client.cardkit.v1.card.settings(request).success()
        assert write("太晚了", 4).code == 300309, "a card that is closed was written into"

    heard = threading.Event()

    def on_message(event):
        assert QUESTION in event.event.message.content
        heard.set()

    def connects():
        handler = lark.EventDispatcherHandler.builder("", "").register_p2_im_message_receive_v1(on_message).build()
        client = lark.ws.Client("a", "s", event_handler=handler, domain=FAKE)
        threading.Thread(target=client.start, daemon=True).start()
        assert heard.wait(60), "nothing was heard"
        time.sleep(1)

    check("lark-oapi", "gets a token and replies with text and card", replies)
    check("lark-oapi", "makes a card, writes into it and closes it", fills_a_card)
    check("lark-oapi", "hears a message in two parts over the fake's long connection", connects)


for platform in (wecom, slack, webhooks, slack_socket, dingtalk, feishu):
    try:
        platform()
    except Exception as error:
        traceback.print_exc()
        print(json.dumps({"sdk": platform.__name__, "check": "starts", "ok": False, "note": repr(error)}), flush=True)
os._exit(0)
