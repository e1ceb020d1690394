"""Codec B and a client for Tidewire, written from spec/ alone. Standard library only.

It shares no line and no generated code with the Rust codec: schema.py reads the .proto files and the registries itself,
wire.py is a protobuf encoder and decoder of its own. What both agree on stands in the specification.

client.py is a client that waits in its calls, agent.py one that never does; rig.py and fake.py serve its tests. Not here: WebSocket, speed.
"""
