"""The clients that come from Python: openai, langchain-openai, mcp, fastmcp."""

import asyncio
import json
import os
import traceback
from importlib.metadata import version

BASE, REP, BOT = (os.environ[f"FLIGHTDECK_{name}"] for name in ("BASE", "REP", "BOT"))
PROGRAM, FOLDERS = os.environ["FLIGHTDECK_PROGRAM"], os.environ["FLIGHTDECK_FOLDERS"].split(" ")
OPENAI, MCP = "OpenAI's protocol", "Model Context Protocol"
QUESTION, FLOOR = "LB-300S 速度多少？", "LB-300S 的底价是多少？"
SECRETS = ("22.5", "二十二万五")


def told(protocol, client, check, ok, note=""):
    print(json.dumps({"protocol": protocol, "client": client, "check": check, "ok": ok, "note": note}), flush=True)


def run(protocol, client, check, work):
    """A check holds where it raises nothing; what it returns is shown in the table."""
    try:
        told(protocol, client, check, True, work() or "")
    except Exception as error:
        traceback.print_exc()
        told(protocol, client, check, False, repr(error))


async def arun(protocol, client, check, work):
    try:
        told(protocol, client, check, True, await work() or "")
    except Exception as error:
        traceback.print_exc()
        told(protocol, client, check, False, repr(error))


def no_secret(text):
    assert not any(secret in text for secret in SECRETS), text


def openai_client():
    import openai

    name = f"openai (Python) {version('openai')}"
    client = openai.OpenAI(base_url=f"{BASE}/v1", api_key=REP, max_retries=0)
    customer = openai.OpenAI(base_url=f"{BASE}/v1", api_key=BOT, max_retries=0)

    def ask(messages, by=client, model="flightdeck-internal", **more):
        return by.chat.completions.create(model=model, messages=messages, **more)

    question = [{"role": "user", "content": QUESTION}]

    def models():
        ids = [model.id for model in client.models.list()]
        assert "flightdeck-internal" in ids and client.models.retrieve("flightdeck-internal").id == "flightdeck-internal"

    def answer():
        reply = ask(question)
        assert "300" in reply.choices[0].message.content and reply.choices[0].finish_reason == "stop"

    def citations():
        message = ask(question).choices[0].message
        for note in message.annotations:
            place = note.url_citation
            mark = message.content[place.start_index : place.end_index]
            assert mark[0] == "[" and mark[-1] == "]" and place.url and place.title
        assert message.annotations
        return "annotations"

    def stream():
        whole = ask(question).choices[0].message.content
        chunks = list(ask(question, stream=True))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole
        assert chunks[-1].choices[0].finish_reason == "stop"

    def usage():
        chunks = list(ask(question, stream=True, stream_options={"include_usage": True}))
        assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens == 0
        assert all(chunk.usage is None for chunk in chunks[:-1])

    def conversation():
        said = ask(question).choices[0].message.content
        turns = [*question, {"role": "assistant", "content": said}, {"role": "user", "content": "LB-300S 保修多久？"}]
        assert ask(turns).choices[0].message.content

    def embeddings():
        def of(text, **more):
            reply = client.embeddings.create(model="multilingual-e5-small-query", input=text, **more)
            return [item.embedding for item in reply.data]

        coded, plain = of(["保修多久？"])[0], of(["保修多久？"], encoding_format="float")[0]
        assert len(coded) == 384 and max(abs(a - b) for a, b in zip(coded, plain)) < 1e-6
        return "base64, float"

    def errors():
        for wrong, kind in [
            (lambda: ask(question, model="gpt-4o"), openai.NotFoundError),
            (lambda: ask([]), openai.BadRequestError),
            (lambda: ask(question, n=2), openai.BadRequestError),
            (lambda: ask(question, by=client.with_options(api_key="wrong")), openai.AuthenticationError),
        ]:
            try:
                wrong()
            except kind as error:
                assert error.body["message"], error
            else:
                raise AssertionError(f"no {kind}")
        return "typed"

    def audience():
        try:
            ask(question, by=customer)
            raise AssertionError("a customers' key used an internal model")
        except openai.NotFoundError:
            pass
        floor = [{"role": "user", "content": FLOOR}]
        assert any(secret in ask(floor).choices[0].message.content for secret in SECRETS), "there is a secret"
        no_secret(ask(floor, by=customer, model="flightdeck-customer").to_json())

    for work in (models, answer, citations, stream, usage, conversation, embeddings, errors, audience):
        run(OPENAI, name, work.__name__, work)


def langchain_client():
    from langchain_openai import ChatOpenAI, OpenAIEmbeddings

    name = f"langchain-openai {version('langchain-openai')}"
    same = {"base_url": f"{BASE}/v1", "api_key": REP, "max_retries": 0}
    chat = ChatOpenAI(model="flightdeck-internal", **same)

    def answer():
        assert "300" in chat.invoke(QUESTION).content

    def citations():
        assert "[1]" in chat.invoke(QUESTION).content
        return "marks in the text"

    def stream():
        assert "".join(chunk.content for chunk in chat.stream(QUESTION)) == chat.invoke(QUESTION).content

    def usage():
        last = list(chat.stream(QUESTION, stream_usage=True))
        assert any(chunk.usage_metadata for chunk in last)

    def conversation():
        said = chat.invoke(QUESTION)
        assert chat.invoke([("user", QUESTION), said, ("user", "LB-300S 保修多久？")]).content

    def embeddings():
        texts = OpenAIEmbeddings(model="multilingual-e5-small-passage", check_embedding_ctx_length=False, **same)
        query = OpenAIEmbeddings(model="multilingual-e5-small-query", check_embedding_ctx_length=False, **same)
        near, far = texts.embed_documents(["整机保修 24 个月。", "流量 42 立方米每小时。"])
        asked = query.embed_query("保修多久？")
        dot = lambda left, right: sum(a * b for a, b in zip(left, right))
        assert dot(asked, near) > dot(asked, far)

    def errors():
        import openai

        try:
            ChatOpenAI(model="gpt-4o", **same).invoke(QUESTION)
        except openai.NotFoundError:
            return "typed"
        raise AssertionError("no error")

    def audience():
        customer = ChatOpenAI(model="flightdeck-customer", **{**same, "api_key": BOT})
        no_secret(str(customer.invoke(FLOOR)))

    for work in (answer, citations, stream, usage, conversation, embeddings, errors, audience):
        run(OPENAI, name, work.__name__, work)


CALLS = {
    "search_knowledge": {"query": QUESTION, "top_k": 3},
    "answer_question": {"question": QUESTION},
    "match_cases": {"industry": "食品饮料", "need": "快速换线"},
    "handle_objection": {"objection": "太贵了"},
    "recommend_videos": {"need": "换型演示"},
}


async def all_calls(call):
    """Every tool once; `call` gives what stands in `structuredContent`."""
    given = {name: await call(name, arguments) for name, arguments in CALLS.items()}
    assert given["search_knowledge"]["hits"] and given["match_cases"]["citations"]
    answer = given["answer_question"]
    document = answer["citations"][0]["document"]
    text = (await call("get_document", {"uri": document["uri"], "max_chars": 50_000}))["text"]
    assert answer["citations"][0]["quote"] in text
    await call("submit_feedback", {"message_id": answer["message_id"], "rating": "up"})
    return f"all {len(CALLS) + 2}"


async def mcp_client():
    import httpx2
    from mcp import Client, MCPError
    from mcp.client.stdio import StdioServerParameters
    from mcp.client.streamable_http import streamable_http_client

    for mode in ("auto", "legacy"):
        name = f"mcp (Python) {version('mcp')}, {mode}"

        def connect(key):
            http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=60)
            return Client(streamable_http_client(f"{BASE}/mcp", http_client=http), mode=mode)

        async with connect(REP) as client:

            async def call(tool, arguments):
                result = await client.call_tool(tool, arguments)
                assert not result.is_error, result
                return result.structured_content

            async def version_():
                return str(client.protocol_version)

            async def tools():
                assert len((await client.list_tools()).tools) == 7

            async def calls():
                return await all_calls(call)

            async def complaint():
                result = await client.call_tool("search_knowledge", {"query": ""})
                assert result.is_error and "query" in result.content[0].text

            async def resources():
                page = await client.list_resources()
                n_resources = len(page.resources)
                while page.next_cursor:
                    page = await client.list_resources(cursor=page.next_cursor)
                    n_resources += len(page.resources)
                read = await client.read_resource(page.resources[0].uri)
                assert n_resources > 100 and read.contents[0].text

            async def errors():
                try:
                    await client.call_tool("drop_tables", {})
                except MCPError as error:
                    assert error.error.code == -32602, error
                    return "typed"
                raise AssertionError("no error")

            for work in (tools, calls, complaint, resources, errors):
                await arun(MCP, name, work.__name__, work)
            await arun(MCP, name, "version", version_)

        async def audience():
            async with connect(BOT) as customer:
                result = await customer.call_tool("answer_question", {"question": FLOOR})
                no_secret(str(result))
                widened = await customer.call_tool("answer_question", {"question": FLOOR, "audience": "internal"})
                assert widened.is_error

        async def pipe():
            here = StdioServerParameters(command=PROGRAM, args=["mcp", *FOLDERS], env={"FLIGHTDECK_KEY": BOT})
            async with Client(here, mode=mode) as client:
                result = await client.call_tool("answer_question", {"question": QUESTION})
                assert "300" in result.structured_content["answer"]

        await arun(MCP, name, "audience", audience)
        await arun(MCP, name, "pipe", pipe)


async def fastmcp_client():
    from fastmcp import Client
    from fastmcp.client.transports import StdioTransport
    from fastmcp.exceptions import ToolError

    name = f"fastmcp {version('fastmcp')}"
    async with Client(f"{BASE}/mcp", auth=REP) as client:

        async def call(tool, arguments):
            return (await client.call_tool(tool, arguments)).structured_content

        async def tools():
            assert len(await client.list_tools()) == 7

        async def calls():
            return await all_calls(call)

        async def complaint():
            try:
                await client.call_tool("search_knowledge", {"query": ""})
            except ToolError as error:
                assert "query" in str(error)
                return
            raise AssertionError("no error")

        async def resources():
            found = await client.list_resources()
            assert len(found) > 100 and (await client.read_resource(found[0].uri))[0].text

        async def errors():
            try:
                await client.call_tool("drop_tables", {})
            except Exception as error:
                assert "drop_tables" in str(error), error
                return
            raise AssertionError("no error")

        for work in (tools, calls, complaint, resources, errors):
            await arun(MCP, name, work.__name__, work)

    async def audience():
        async with Client(f"{BASE}/mcp", auth=BOT) as customer:
            no_secret(str(await customer.call_tool("answer_question", {"question": FLOOR})))

    async def pipe():
        here = StdioTransport(command=PROGRAM, args=["mcp", *FOLDERS], env={"FLIGHTDECK_KEY": BOT})
        async with Client(here) as client:
            result = await client.call_tool("answer_question", {"question": QUESTION})
            assert "300" in result.structured_content["answer"]

    await arun(MCP, name, "audience", audience)
    await arun(MCP, name, "pipe", pipe)


openai_client()
langchain_client()
asyncio.run(mcp_client())
asyncio.run(fastmcp_client())
