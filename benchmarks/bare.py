"""The product's server with one door more for benchmarks/load.py: a bare encrypted echo. usage: bare.py PORT"""

import sys
import time

import uvicorn
from fastapi import Request, Response

from bot.app import configure_logging, web_app
from bot.channels import edge
from bot.channels.wechat import parse, rendered
from bot.installation import settings


def main() -> None:
    configure_logging()
    chosen = settings()
    app = web_app(chosen)
    key = chosen.wechat
    envelope = edge.Envelope(token=key.token, aes_key=key.aes_key, receiver=key.app_id)

    async def echo(request: Request) -> Response:
        xml = envelope.open(edge.query_of(request), await edge.body_of(request), time.time())
        message = parse(xml)
        return Response(envelope.close(rendered(message, message.content), time.time()), media_type="application/xml")

    app.router.add_route("/bench/echo", echo, methods=["POST"])
    app.router.routes.insert(0, app.router.routes.pop())
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", server_header=False)


if __name__ == "__main__":
    main()
