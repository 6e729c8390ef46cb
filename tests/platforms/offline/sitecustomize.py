"""Refuses every connection to another machine: Python imports this file when it starts."""

import socket

LOCAL = ("127.0.0.1", "::1", "localhost")


class _Socket(socket.socket):
    def connect(self, address):
        if self.family != socket.AF_UNIX and address[0] not in LOCAL:
            raise OSError(101, "the test blocks the network")
        return super().connect(address)

    def connect_ex(self, address):
        return 0 if self.connect(address) is None else 1


socket.socket = _Socket
