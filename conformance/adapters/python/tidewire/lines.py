"""The lines of an adapter: requests in, answers and events out, one JSON object each."""

import json
import sys
import threading


# What an op gives back that is answered by another thread, or later.
LATER = object()


class Refused(Exception):
    """The codec or the client refuses; the code is the one of the answer."""

    def __init__(self, code: str, text: str = ""):
        super().__init__(text)
        self.code = code


class Lines:
    """Writes whole lines, from whatever thread."""

    def __init__(self, out=None):
        self._out, self._lock = out or sys.stdout, threading.Lock()

    def say(self, line: dict) -> None:
        text = json.dumps(line, separators=(",", ":"))
        with self._lock:
            self._out.write(text + "\n")
            self._out.flush()

    def answer(self, number: int, work, arguments: dict) -> None:
        """Answers a request with what `work` gives for its arguments."""
        try:
            ok = work(arguments)
        except Refused as error:
            self.say({"id": number, "err": {"code": error.code, "text": str(error)}})
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            self.say({"id": number, "err": {"code": "BAD_REQUEST", "text": f"{type(error).__name__}: {error}"}})
        else:
            if ok is not LATER:
                self.say({"id": number, "ok": ok or {}})

    def serve(self, hello: dict, find, source=None) -> None:
        """Answers the hello, and each request by the function that `find(op)` gives; None: nobody here knows the op."""
        for line in source or sys.stdin:
            request = json.loads(line)
            if "hello" in request:
                self.say({"hello": {"protocol": 1, "version": "1", **hello}})
            elif (work := find(request["op"])) is None:
                self.say({"id": request["id"], "unsupported": True})
            else:
                self.answer(request["id"], work, request)
