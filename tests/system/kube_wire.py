# SPDX-License-Identifier: Apache-2.0
"""
kube_wire.py: a wire in front of an API server: it forwards TCP and knows nothing of TLS or HTTP.
What comes back from the server can be made late, or the wire made to swallow everything (both ends
stay connected and hear nothing, as behind a dead router), or to refuse and break connections.

    wire = Wire(("127.77.1.1", 16443), ("127.77.1.1", 6443))
    wire.delay = 30        # seconds that every answer takes, from now on
    wire.mode = "hole"     # "pass", "hole", "refuse"
    wire.close()
"""
import asyncio
import threading
import time

CHUNK = 64 << 10
AHEAD = 4 << 20  # bytes that wait for their time, per direction; then the sender waits
STEP = 0.02


class Wire:
    def __init__(self, listen, server):
        self.listen, self.server = listen, server
        self.delay, self.mode = 0.0, "pass"
        self.accepted = 0
        self._loop = asyncio.new_event_loop()
        self._writers = set()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        if not ready.wait(10) or self._failure:
            raise OSError(f"wire at {listen}: {self._failure}")

    _failure = None

    def _run(self, ready):
        asyncio.set_event_loop(self._loop)
        try:
            self._listener = self._loop.run_until_complete(
                asyncio.start_server(self._accept, *self.listen))
        except OSError as e:
            self._failure = e
        ready.set()
        if not self._failure:
            self._loop.run_forever()

    def close(self):
        def stop():
            self._listener.close()
            self._break()
            self._loop.call_later(0.05, self._loop.stop)
        self._loop.call_soon_threadsafe(stop)
        self._thread.join(5)

    def cut(self):
        """Breaks all connections with a reset; new ones are as the mode says."""
        self._loop.call_soon_threadsafe(self._break)

    def refuse(self):
        self.mode = "refuse"
        self.cut()

    def heal(self):
        self.delay, self.mode = 0.0, "pass"

    def _break(self):
        for writer in list(self._writers):
            writer.transport.abort()

    async def _accept(self, reader, writer):
        self.accepted += 1
        if self.mode == "refuse":
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await asyncio.open_connection(*self.server)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, up_writer}
        try:
            await asyncio.gather(self._pump(reader, up_writer, False),
                                 self._pump(up_reader, writer, True))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers -= {writer, up_writer}
            writer.transport.abort()
            up_writer.transport.abort()

    async def _pump(self, reader, writer, answers):
        """Bytes of one direction, each in its order and not before its time."""
        queue, held = asyncio.Queue(), 0

        async def send():
            nonlocal held
            while True:
                due, data = await queue.get()
                while (answers and time.monotonic() < due) or self.mode == "hole":
                    await asyncio.sleep(STEP)
                    due = min(due, time.monotonic() + self.delay)  # a delay that was lowered
                if not data:
                    if writer.can_write_eof():
                        writer.write_eof()
                    return
                writer.write(data)
                await writer.drain()
                held -= len(data)
        sender = asyncio.ensure_future(send())
        try:
            data = True
            while data and not sender.done():
                while held > AHEAD and not sender.done():
                    await asyncio.sleep(STEP)
                data = await reader.read(CHUNK)
                held += len(data)
                queue.put_nowait((time.monotonic() + self.delay, data))
            await sender
        finally:
            sender.cancel()
