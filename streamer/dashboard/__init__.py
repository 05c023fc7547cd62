"""The live page: published records in a browser.

    async with dashboard.showing(config) as page:
        print(page.url("standup"))

`feed` follows the topics and keeps a bounded, numbered log per session; `views` sends it to
browsers, which `server` lets in; `static/` is the page, which asks nothing of any other machine.
"""

from streamer.dashboard.server import HOST, PORT, Page, following, serve, showing

__all__ = ["HOST", "PORT", "Page", "following", "serve", "showing"]
