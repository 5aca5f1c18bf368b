"""The handshake altsh1 and the ALTS record protocol, written from handshaker/PROTOCOL.md.

Numbers in comments are that document's sections. Only tests use this: it misbehaves on demand and is not careful with secrets.
"""
