"""What our side has to make of each fault, read from handshaker/PROTOCOL.md and from the documentation of `alts::Error`.

A line of the table: the fault's name, where * stands for any text; the roles of ours that it is for; our side's error, as
../peer/src/report.rs writes it; what the misbehaving peer is told, in plaintext or sealed; and words that the error's text has in it, so
that our side refuses for the reason that is meant. A heading is the section that says so.
"""

from fnmatch import fnmatchcase

TABLE = r"""
# 4. Frames: the header's checks, in their order
frame/length 0                                   | both   | peer decode_error               | clear decode_error        | a frame says it has
frame/length 3                                   | both   | peer decode_error               | clear decode_error        | a frame says it has
frame/length 3 of an unknown type                | both   | peer decode_error               | clear decode_error        | a frame says it has
frame/longer than any                            | both   | peer too_large                  | clear too_large           | a frame says it has
frame/longer than any, of an unknown type        | both   | peer too_large                  | clear too_large           | a frame says it has
frame/longest length there is                    | both   | peer too_large                  | clear too_large           | a frame says it has
frame/longer than a ClientInit                   | server | peer too_large                  | clear too_large           | a frame says it has
frame/ClientInit that is too long where none is due | both   | peer too_large                  | clear too_large           | a frame says it has
frame/alert that is too long                     | both   | peer too_large                  | clear too_large           | a frame says it has
frame/sealed alert that is too long              | both   | peer too_large                  | clear too_large           | a frame says it has
frame/type with high bits                        | both   | peer unexpected_message         | clear unexpected_message  | a frame of the unknown type 0x100004
frame/type with the next bit                     | both   | peer unexpected_message         | clear unexpected_message  | a frame of the unknown type 0x14
frame/reserved type                              | both   | peer unexpected_message         | clear unexpected_message  | a frame of the unknown type 0x46
frame/Ticket first                               | both   | peer unexpected_message         | clear unexpected_message  | Ticket where
frame/Ticket that is too long                    | both   | peer too_large                  | clear too_large           | a frame says it has
frame/record first                               | both   | peer unexpected_message         | clear unexpected_message  | a frame of the unknown type 0x6
frame/ClientFinished first                       | both   | peer unexpected_message         | clear unexpected_message  | ClientFinished where
frame/ServerFinished first                       | both   | peer unexpected_message         | clear unexpected_message  | ServerFinished where
frame/sealed alert first                         | both   | peer unexpected_message         | clear unexpected_message  | SealedAlert where
frame/ServerInit to a server                     | server | peer unexpected_message         | clear unexpected_message  | ServerInit where ClientInit is due
frame/Finished of length 2                       | both   | peer decode_error               | sealed decode_error       | a frame says it has
frame/Finished that is too long                  | both   | peer too_large                  | sealed too_large          | a frame says it has
frame/sealed alert that is too long, later       | both   | peer too_large                  | sealed too_large          | a frame says it has
frame/clear alert that is too long, later        | both   | peer too_large                  | sealed too_large          | a frame says it has
frame/reserved type, later                       | both   | peer unexpected_message         | sealed unexpected_message | a frame of the unknown type 0x4d
frame/the peer's own kind of Finished            | both   | peer unexpected_message         | sealed unexpected_message | ClientFinished
frame/clear Finished                             | both   | peer decrypt_error              | sealed decrypt_error      | Finished does not open

# 4. Foreign protocols
foreign/HTTP2 preface                            | server | foreign http2                   | none
foreign/HTTP2 settings                           | client | foreign http2                   | none
foreign/TLS ClientHello                          | server | foreign tls                     | none
foreign/TLS ServerHello                          | client | foreign tls                     | none
foreign/TLS alert                                | both   | foreign tls                     | none
foreign/HTTP1                                    | server | foreign http1                   | none
foreign/HTTP2 after the first frame              | server | peer too_large                  | sealed too_large

# 5.1, 2, 12.1. ClientInit
ClientInit/no version                            | server | peer decode_error               | clear decode_error        | ClientInit has an empty list
ClientInit/nine versions                         | server | peer decode_error               | clear decode_error        | ClientInit has a list with too many elements
ClientInit/nine versions, one of them twice      | server | peer decode_error               | clear decode_error
ClientInit/nine names, one of them twice         | server | peer decode_error               | clear decode_error
ClientInit/name twice before a name with a space | server | peer decode_error               | clear decode_error
ClientInit/extension and its twin before the order | server | peer illegal_parameter | clear illegal_parameter
ClientInit/version twice                         | server | peer illegal_parameter          | clear illegal_parameter   | an element occurs twice among the versions
ClientInit/unknown version twice                 | server | peer illegal_parameter          | clear illegal_parameter   | an element occurs twice among the versions
ClientInit/other versions only                   | server | incompatible unsupported_version | clear unsupported_version | the client offers versions
ClientInit/versions of 3 bytes                   | server | peer decode_error               | clear decode_error        | ClientInit ends too early
ClientInit/versions of 1 byte                    | server | peer decode_error               | clear decode_error        | ClientInit ends too early
ClientInit/versions beyond the body              | server | peer decode_error               | clear decode_error        | ClientInit ends too early
ClientInit/random of 31 bytes                    | server | peer decode_error               | clear decode_error        | ClientInit has an empty list
ClientInit/random of 33 bytes                    | server | peer decode_error               | clear decode_error        | ClientInit has an empty list
ClientInit/no suite                              | server | peer decode_error               | clear decode_error        | ClientInit has an empty list
ClientInit/nine suites                           | server | peer decode_error               | clear decode_error        | ClientInit has a list with too many elements
ClientInit/suite twice                           | server | peer illegal_parameter          | clear illegal_parameter   | an element occurs twice among the suites
ClientInit/suites of 5 bytes                     | server | peer decode_error               | clear decode_error        | ClientInit ends too early
ClientInit/no share                              | server | peer decode_error               | clear decode_error        | ClientInit has an empty list
ClientInit/three shares                          | server | peer decode_error               | clear decode_error        | ClientInit has a list with too many elements
ClientInit/share twice                           | server | peer illegal_parameter          | clear illegal_parameter   | the key shares do not follow the offered suites
ClientInit/share of a suite that is not offered  | server | peer illegal_parameter          | clear illegal_parameter   | the key shares do not follow the offered suites
ClientInit/shares in another order               | server | peer illegal_parameter          | clear illegal_parameter   | the key shares do not follow the offered suites
ClientInit/unknown suite only                    | server | incompatible no_common_suite    | clear no_common_suite     | shares for none that this side allows
ClientInit/share of the unknown suite only       | server | incompatible no_common_suite    | clear no_common_suite     | shares for none that this side allows
ClientInit/reserved hybrid suite                 | server | incompatible no_common_suite    | clear no_common_suite     | shares for none that this side allows
ClientInit/share beyond the vector               | server | peer decode_error               | clear decode_error        | ClientInit ends too early
ClientInit/shares with a byte left over          | server | peer decode_error               | clear decode_error        | ClientInit ends too early
ClientInit/shares against suites before what follows | server | peer illegal_parameter          | clear illegal_parameter   | do not follow the offered suites
ClientInit/duplicate before what follows         | server | peer illegal_parameter          | clear illegal_parameter   | an element occurs twice among the suites
ClientInit/no signature scheme                   | server | peer decode_error               | clear decode_error        | ClientInit has an empty list
ClientInit/nine signature schemes                | server | peer decode_error               | clear decode_error        | ClientInit has a list with too many elements
ClientInit/signature scheme twice                | server | peer illegal_parameter          | clear illegal_parameter   | an element occurs twice among the signature schemes
ClientInit/no record protocol                    | server | peer decode_error               | clear decode_error        | ClientInit has an empty list
ClientInit/nine record protocols                 | server | peer decode_error               | clear decode_error        | ClientInit has a list with too many elements
ClientInit/record protocol twice                 | server | peer illegal_parameter          | clear illegal_parameter   | an element occurs twice among the protocol names
ClientInit/unknown record protocol twice         | server | peer illegal_parameter          | clear illegal_parameter   | an element occurs twice among the protocol names
ClientInit/empty name                            | server | peer decode_error               | clear decode_error        | ClientInit has a protocol name that is not 1 to 64 visible ASCII characters
ClientInit/name of 65 bytes                      | server | peer decode_error               | clear decode_error        | ClientInit has a protocol name that is not 1 to 64 visible ASCII characters
ClientInit/name with a space                     | server | peer decode_error               | clear decode_error        | ClientInit has a protocol name that is not 1 to 64 visible ASCII characters
ClientInit/name with a delete character          | server | peer decode_error               | clear decode_error        | ClientInit has a protocol name that is not 1 to 64 visible ASCII characters
ClientInit/name that is not ASCII                | server | peer decode_error               | clear decode_error        | ClientInit has a protocol name that is not 1 to 64 visible ASCII characters
ClientInit/name beyond its vector                | server | peer decode_error               | clear decode_error        | ClientInit ends too early
ClientInit/no application protocol               | server | peer decode_error               | clear decode_error        | ClientInit has an empty list
ClientInit/five application protocols            | server | peer decode_error               | clear decode_error        | ClientInit has a list with too many elements
ClientInit/application protocol twice            | server | peer illegal_parameter          | clear illegal_parameter   | an element occurs twice among the protocol names
ClientInit/application protocol with a zero byte | server | peer decode_error               | clear decode_error        | ClientInit has a protocol name that is not 1 to 64 visible ASCII characters
ClientInit/byte left over                        | server | peer decode_error               | clear decode_error        | ClientInit has trailing bytes
ClientInit/last byte missing                     | server | peer decode_error               | clear decode_error        | ClientInit ends too early
ClientInit/empty body                            | server | peer decode_error               | clear decode_error        | ClientInit ends too early
ClientInit/full of zeros, as long as may be      | server | peer decode_error               | clear decode_error        | ClientInit has trailing bytes

# 5.3. Extensions of ClientInit
ClientInit/extensions descending                 | server | peer decode_error               | clear decode_error        | ClientInit has extensions out of order
ClientInit/extension twice                       | server | peer decode_error               | clear decode_error        | ClientInit has extensions out of order
ClientInit/unknown extension twice               | server | peer decode_error               | clear decode_error        | ClientInit has extensions out of order
ClientInit/extension and its critical twin       | server | peer illegal_parameter          | clear illegal_parameter   | extension 0x0005 occurs twice
ClientInit/close_notify and its critical twin    | server | peer illegal_parameter          | clear illegal_parameter   | extension 0x0001 occurs twice
ClientInit/unknown critical extension            | server | incompatible unsupported_extension | clear unsupported_extension | critical extension 0xff00 is unknown
ClientInit/critical close_notify                 | server | incompatible unsupported_extension | clear unsupported_extension | critical extension 0x8001 is unknown
ClientInit/close_notify with data                | server | peer decode_error               | clear decode_error        | ClientInit has a close_notify extension that is not empty
ClientInit/extension beyond its vector           | server | peer decode_error               | clear decode_error        | ClientInit ends too early
ClientInit/extensions beyond the body            | server | peer decode_error               | clear decode_error        | ClientInit ends too early
ClientInit/half an extension                     | server | peer decode_error               | clear decode_error        | ClientInit ends too early

# 12.1. A server that cannot prove who it is
ClientInit/to a server without an identity       | server | identity                        | clear no_identity         | there is no identity: none yet
ClientInit/malformed, to a server without an identity | server | identity                   | clear no_identity         | there is no identity: none yet

# 6, 12.1. Key shares of the client
ClientInit/share of 31 bytes                     | server | peer decrypt_error              | clear decrypt_error       | the peer's key share is not valid
ClientInit/share of 33 bytes                     | server | peer decrypt_error              | clear decrypt_error       | the peer's key share is not valid
ClientInit/empty share                           | server | peer decrypt_error              | clear decrypt_error       | the peer's key share is not valid
ClientInit/X25519 point of low order *           | server | peer decrypt_error              | clear decrypt_error       | the peer's key share is not valid
ClientInit/P-256 point off the curve             | server | peer decrypt_error              | clear decrypt_error       | the peer's key share is not valid
ClientInit/P-256 point at infinity               | server | peer decrypt_error              | clear decrypt_error       | the peer's key share is not valid
ClientInit/P-256 point of zeros                  | server | peer decrypt_error              | clear decrypt_error       | the peer's key share is not valid
ClientInit/P-256 point compressed                | server | peer decrypt_error              | clear decrypt_error       | the peer's key share is not valid
ClientInit/P-256 point hybrid                    | server | peer decrypt_error              | clear decrypt_error       | the peer's key share is not valid
ClientInit/P-256 point without its first byte    | server | peer decrypt_error              | clear decrypt_error       | the peer's key share is not valid
ClientInit/P-256 coordinate not reduced          | server | peer decrypt_error              | clear decrypt_error       | the peer's key share is not valid
ClientInit/X25519 key for P-256                  | server | peer decrypt_error              | clear decrypt_error       | the peer's key share is not valid

# 11. What the server cannot choose from
ClientInit/schemes that the server's key does not have | server | incompatible handshake_failure  | clear handshake_failure   | this side's key signs
ClientInit/unknown record protocol               | server | incompatible no_common_record_protocol | clear no_common_record_protocol | the client offers record protocols
ClientInit/record protocol without confidentiality | server | incompatible no_common_record_protocol | clear no_common_record_protocol | the client offers record protocols
ClientInit/plain record protocol, not configured | server | incompatible no_common_record_protocol | clear no_common_record_protocol | the client offers record protocols
ClientInit/record protocol in other letters      | server | incompatible no_common_record_protocol | clear no_common_record_protocol | the client offers record protocols
ClientInit/unknown application protocol          | server | incompatible no_common_app_protocol | clear no_common_app_protocol | the client offers application protocols
ClientInit/RPC versions below                    | server | incompatible rpc_version_mismatch | clear rpc_version_mismatch | the peer's RPC versions are 1.0 to 1.9
ClientInit/RPC versions above                    | server | incompatible rpc_version_mismatch | clear rpc_version_mismatch | the peer's RPC versions are 2.2 to 9.9
ClientInit/RPC versions of a lower minor         | server | incompatible rpc_version_mismatch | clear rpc_version_mismatch | the peer's RPC versions are 1.0 to 2.0
ClientInit/RPC versions the wrong way round      | server | incompatible rpc_version_mismatch | clear rpc_version_mismatch | the peer's RPC versions are 2.2 to 2.0

# 12.1. Two faults at once
ClientInit/duplicate before version              | server | peer illegal_parameter          | clear illegal_parameter   | an element occurs twice among the protocol names
ClientInit/version before critical extension     | server | incompatible unsupported_version | clear unsupported_version | the client offers versions
ClientInit/critical extension before suite       | server | incompatible unsupported_extension | clear unsupported_extension | critical extension 0xff00 is unknown
ClientInit/suite before record protocol          | server | incompatible no_common_suite    | clear no_common_suite     | shares for none that this side allows
ClientInit/record protocol before application protocol | server | incompatible no_common_record_protocol | clear no_common_record_protocol | the client offers record protocols
ClientInit/application protocol before RPC versions | server | incompatible no_common_app_protocol | clear no_common_app_protocol | the client offers application protocols
ClientInit/RPC versions before signature scheme  | server | incompatible rpc_version_mismatch | clear rpc_version_mismatch | the peer's RPC versions are 1.0 to 1.0
ClientInit/signature scheme before key share     | server | incompatible handshake_failure  | clear handshake_failure   | this side's key signs

# 5.4, 12.2. ServerInit
ServerInit/version 0                             | client | peer illegal_parameter          | clear illegal_parameter   | version 0x0000 was not offered
ServerInit/version 2                             | client | peer illegal_parameter          | clear illegal_parameter   | version 0x0002 was not offered
ServerInit/suite that was not offered            | client | peer illegal_parameter          | clear illegal_parameter   | suite 0x0002 was not offered
ServerInit/unknown suite                         | client | peer illegal_parameter          | clear illegal_parameter   | suite 0xff00 was not offered
ServerInit/suite 0                               | client | peer illegal_parameter          | clear illegal_parameter   | suite 0x0000 was not offered
ServerInit/suite that the client has no share of | client | peer illegal_parameter          | clear illegal_parameter   | suite 0x0001 was not offered
ServerInit/share of 31 bytes                     | client | peer decrypt_error              | clear decrypt_error       | the peer's key share is not valid
ServerInit/share of 33 bytes                     | client | peer decrypt_error              | clear decrypt_error       | the peer's key share is not valid
ServerInit/empty share                           | client | peer decrypt_error              | clear decrypt_error       | the peer's key share is not valid
ServerInit/share of the other suite              | client | peer decrypt_error              | clear decrypt_error       | the peer's key share is not valid
ServerInit/X25519 point of low order *           | client | peer decrypt_error              | clear decrypt_error       | the peer's key share is not valid
ServerInit/P-256 point off the curve             | client | peer decrypt_error              | clear decrypt_error       | the peer's key share is not valid
ServerInit/P-256 point at infinity               | client | peer decrypt_error              | clear decrypt_error       | the peer's key share is not valid
ServerInit/P-256 point compressed                | client | peer decrypt_error              | clear decrypt_error       | the peer's key share is not valid
ServerInit/extension that was not offered        | client | peer illegal_parameter          | clear illegal_parameter   | extension 0x7f00 was not offered
ServerInit/close_notify, which is not for here   | client | peer illegal_parameter          | clear illegal_parameter   | extension 0x0001 was not offered
ServerInit/unknown critical extension            | client | incompatible unsupported_extension | clear unsupported_extension | critical extension 0xff00 is unknown
ServerInit/critical close_notify                 | client | incompatible unsupported_extension | clear unsupported_extension | critical extension 0x8001 is unknown
ServerInit/extensions descending                 | client | peer decode_error               | clear decode_error        | ServerInit has extensions out of order
ServerInit/extension twice                       | client | peer decode_error               | clear decode_error        | ServerInit has extensions out of order
ServerInit/extension and its critical twin       | client | peer illegal_parameter          | clear illegal_parameter   | extension 0x0007 occurs twice
ServerInit/random of 31 bytes                    | client | peer decode_error               | clear decode_error        | ServerInit ends too early
ServerInit/share beyond the body                 | client | peer decode_error               | clear decode_error        | ServerInit ends too early
ServerInit/extension beyond its vector           | client | peer decode_error               | clear decode_error        | ServerInit ends too early
ServerInit/half an extension                     | client | peer decode_error               | clear decode_error        | ServerInit ends too early
ServerInit/byte left over                        | client | peer decode_error               | clear decode_error        | ServerInit has trailing bytes
ServerInit/last byte missing                     | client | peer decode_error               | clear decode_error        | ServerInit ends too early
ServerInit/empty body                            | client | peer decode_error               | clear decode_error        | ServerInit ends too early
ServerInit/encoding before version               | client | peer decode_error               | clear decode_error        | ServerInit has extensions out of order
ServerInit/version before extension              | client | peer illegal_parameter          | clear illegal_parameter   | version 0x0002 was not offered
ServerInit/extension before suite                | client | incompatible unsupported_extension | clear unsupported_extension | critical extension 0xff00 is unknown
ServerInit/suite before share                    | client | peer illegal_parameter          | clear illegal_parameter   | suite 0x0009 was not offered
ServerInit/changed on the way                    | client | peer decrypt_error              | sealed decrypt_error      | ServerFinished does not open

# 9. SEAL
Finished/tag changed                             | both   | peer decrypt_error              | sealed decrypt_error      | Finished does not open
Finished/ciphertext changed                      | both   | peer decrypt_error              | sealed decrypt_error      | Finished does not open
Finished/a block missing                         | both   | peer decrypt_error              | sealed decrypt_error      | Finished does not open
Finished/body of 16 bytes                        | both   | peer decrypt_error              | sealed decrypt_error      | Finished does not open
Finished/body of 15 bytes                        | both   | peer decrypt_error              | sealed decrypt_error      | Finished does not open
Finished/empty body                              | both   | peer decrypt_error              | sealed decrypt_error      | Finished does not open
Finished/sealed *                                | both   | peer decrypt_error              | sealed decrypt_error      | Finished does not open

# 5.5 to 5.7, 2. Encoding of Finished
Finished/padding*                                | both   | peer decode_error               | sealed decode_error
Finished/no padding                              | both   | peer decode_error               | sealed decode_error       | Finished ends too early
Finished/zeros behind the padding                | both   | peer decode_error               | sealed decode_error       | has trailing bytes
Finished/bytes behind the padding                | both   | peer decode_error               | sealed decode_error       | has trailing bytes
Finished/plaintext of zeros                      | both   | peer decode_error               | sealed decode_error
Finished/empty plaintext                         | both   | peer decode_error               | sealed decode_error       | Finished ends too early
Finished/no certificate                          | both   | peer decode_error               | sealed decode_error       | has an empty list
Finished/six certificates                        | both   | peer decode_error               | sealed decode_error       | has a list with too many elements
Finished/six certificates, the first of 8,193 bytes | both   | peer too_large  | sealed too_large
Finished/six certificates, the last of 8,193 bytes | both   | peer decode_error               | sealed decode_error       | too many elements
Finished/six certificates of 24,577 bytes        | both   | peer too_large                  | sealed too_large
Finished/extensions' form before the length of the plaintext | both   | peer illegal_parameter          | sealed illegal_parameter  | extension 0x0007 occurs twice
Finished/extensions' form before padding         | both   | peer illegal_parameter  | sealed illegal_parameter
Finished/certificate of 8,193 bytes              | both   | peer too_large                  | sealed too_large          | a certificate of 8193 bytes
Finished/certificate of 8,192 bytes, all zero    | both   | peer bad_certificate            | sealed bad_certificate    | certificate 0 is malformed: certificate
Finished/chain of 24,577 bytes                   | both   | peer too_large                  | sealed too_large          | a certificate chain of 24577 bytes
Finished/chain of 24,576 bytes, all zero         | both   | peer bad_certificate            | sealed bad_certificate    | certificate 0 is malformed: certificate
Finished/chain beyond the plaintext              | both   | peer decode_error               | sealed decode_error       | Finished ends too early
Finished/certificate beyond the chain            | both   | peer decode_error               | sealed decode_error       | Finished ends too early
Finished/empty record protocol                   | client | peer decode_error               | sealed decode_error       | has a protocol name that is not 1 to 64 visible ASCII characters
Finished/record protocol of 65 bytes             | client | peer decode_error               | sealed decode_error       | has a protocol name that is not 1 to 64 visible ASCII characters
Finished/record protocol with a space            | client | peer decode_error               | sealed decode_error       | has a protocol name that is not 1 to 64 visible ASCII characters
Finished/empty application protocol              | client | peer decode_error               | sealed decode_error       | has a protocol name that is not 1 to 64 visible ASCII characters
Finished/no signature scheme                     | client | peer decode_error               | sealed decode_error       | has an empty list
Finished/nine signature schemes                  | client | peer decode_error               | sealed decode_error       | has a list with too many elements
Finished/schemes of 3 bytes                      | client | peer decode_error               | sealed decode_error       | ServerFinished ends too early
Finished/signature scheme twice                  | client | peer illegal_parameter          | sealed illegal_parameter  | an element occurs twice among the signature schemes

# 5.3. Extensions of Finished
Finished/extensions descending                   | both   | peer decode_error               | sealed decode_error       | has extensions out of order
Finished/extension twice                         | both   | peer decode_error               | sealed decode_error       | has extensions out of order
Finished/extension and its critical twin         | both   | peer illegal_parameter          | sealed illegal_parameter  | extension 0x0007 occurs twice
Finished/extension that was not offered          | both   | peer illegal_parameter          | sealed illegal_parameter  | extension 0x7f00 was not offered
Finished/unknown critical extension              | both   | incompatible unsupported_extension | sealed unsupported_extension | critical extension 0xff00 is unknown
Finished/critical close_notify                   | both   | incompatible unsupported_extension | sealed unsupported_extension | critical extension 0x8001 is unknown
Finished/close_notify with data                  | both   | peer decode_error               | sealed decode_error       | has a close_notify extension that is not empty
Finished/close_notify from a client              | server | peer illegal_parameter          | sealed illegal_parameter  | extension 0x0001 was not offered
Finished/close_notify that was not offered       | client | peer illegal_parameter          | sealed illegal_parameter  | extension 0x0001 was not offered
Finished/extension beyond its vector             | both   | peer decode_error               | sealed decode_error       | Finished ends too early
Finished/extensions beyond the plaintext         | both   | peer decode_error               | sealed decode_error       | Finished ends too early

# 11, 12.3. What the server may not choose, and what the client cannot use
Finished/record protocol that was not offered    | client | peer illegal_parameter          | sealed illegal_parameter  | the server chose the record protocol "ALTSRP_GCM_AES128", which was not offered
Finished/record protocol without confidentiality | client | peer illegal_parameter          | sealed illegal_parameter  | the server chose the record protocol "ALTSRP_GMAC_128", which was not offered
Finished/application protocol that was not offered | client | peer illegal_parameter          | sealed illegal_parameter  | the server chose the application protocol "h2", which was not offered
Finished/RPC versions below                      | client | incompatible rpc_version_mismatch | sealed rpc_version_mismatch | the peer's RPC versions are 1.0 to 1.0
Finished/RPC versions above                      | client | incompatible rpc_version_mismatch | sealed rpc_version_mismatch | the peer's RPC versions are 2.2 to 3.0
Finished/schemes that the client's key does not have | client | incompatible handshake_failure  | sealed handshake_failure  | this side's key signs

# 6, 7, 10. Signatures and MACs
Finished/scheme that was not named               | both   | peer illegal_parameter          | sealed illegal_parameter  | signature scheme 0x0401 was not offered
Finished/scheme 0                                | both   | peer illegal_parameter          | sealed illegal_parameter  | signature scheme 0x0000 was not offered
Finished/scheme of another curve                 | both   | peer decrypt_error              | sealed decrypt_error      | the peer's signature does not fit its certificate
Finished/scheme of another kind of key           | both   | peer decrypt_error              | sealed decrypt_error      | the peer's signature does not fit its certificate
Finished/signature changed                       | both   | peer decrypt_error              | sealed decrypt_error      | the peer's signature does not fit its certificate
Finished/empty signature                         | both   | peer decrypt_error              | sealed decrypt_error      | the peer's signature does not fit its certificate
Finished/signature of zeros                      | both   | peer decrypt_error              | sealed decrypt_error      | the peer's signature does not fit its certificate
Finished/signature with a byte behind it         | both   | peer decrypt_error              | sealed decrypt_error      | the peer's signature does not fit its certificate
Finished/signature by another key                | both   | peer decrypt_error              | sealed decrypt_error      | the peer's signature does not fit its certificate
Finished/signature under the other role's context | both   | peer decrypt_error              | sealed decrypt_error      | the peer's signature does not fit its certificate
Finished/signature under TLS's context           | both   | peer decrypt_error              | sealed decrypt_error      | the peer's signature does not fit its certificate
Finished/signature without the 64 bytes in front | both   | peer decrypt_error              | sealed decrypt_error      | the peer's signature does not fit its certificate
Finished/signature without the zero byte         | both   | peer decrypt_error              | sealed decrypt_error      | the peer's signature does not fit its certificate
Finished/signature over another transcript       | both   | peer decrypt_error              | sealed decrypt_error      | the peer's signature does not fit its certificate
Finished/ECDSA signature as two numbers          | both   | peer decrypt_error              | sealed decrypt_error      | the peer's signature does not fit its certificate
Finished/ECDSA signature in longer DER           | both   | peer decrypt_error              | sealed decrypt_error      | the peer's signature does not fit its certificate
Finished/ECDSA signature over SHA-384            | both   | peer decrypt_error              | sealed decrypt_error      | the peer's signature does not fit its certificate
Finished/P-384 signature over SHA-256            | both   | peer decrypt_error              | sealed decrypt_error      | the peer's signature does not fit its certificate
Finished/Ed25519 signature changed               | both   | peer decrypt_error              | sealed decrypt_error      | the peer's signature does not fit its certificate
Finished/Ed25519 signature plus the order        | both   | peer decrypt_error              | sealed decrypt_error      | the peer's signature does not fit its certificate
Finished/RSA signature *                         | both   | peer decrypt_error              | sealed decrypt_error      | the peer's signature does not fit its certificate
Finished/stolen certificate                      | both   | peer decrypt_error              | sealed decrypt_error      | the peer's signature does not fit its certificate
Finished/our own certificate, reflected          | both   | peer decrypt_error              | sealed decrypt_error      | the peer's signature does not fit its certificate
Finished/MAC *                                   | both   | peer decrypt_error              | sealed decrypt_error      | the peer's authenticator does not fit the handshake
Finished/chain left out of the transcript        | both   | peer decrypt_error              | sealed decrypt_error      | the peer's signature does not fit its certificate

# 16. Access
Finished/denied: no rule                         | both   | denied spiffe://example.org/theirs | sealed access_denied      | no rule allows it
Finished/denied by a rule                        | both   | denied spiffe://example.org/theirs | sealed access_denied      | denied by the rule spiffe://example.org/theirs
Finished/denied: a rule for what is below        | both   | denied spiffe://example.org/theirs | sealed access_denied      | no rule allows it
Finished/denied: not a target                    | client | denied spiffe://example.org/theirs | sealed access_denied      | not among the target identities
Finished/denied: another trust domain            | both   | denied spiffe://partner.example/theirs | sealed access_denied      | no rule allows it

# 12.3, 12.4. Two faults at once
Finished/certificates before the scheme          | both   | peer certificate_expired        | sealed certificate_expired | expired
Finished/scheme before the signature             | both   | peer illegal_parameter          | sealed illegal_parameter  | signature scheme 0x0401 was not offered
Finished/signature before extensions             | both   | peer decrypt_error              | sealed decrypt_error      | the peer's signature does not fit its certificate
Finished/record protocol before extensions       | client | peer illegal_parameter          | sealed illegal_parameter  | the server chose the record protocol "x", which was not offered
Finished/extensions before RPC versions          | client | incompatible unsupported_extension | sealed unsupported_extension | critical extension 0xff00 is unknown
Finished/RPC versions before access              | client | incompatible rpc_version_mismatch | sealed rpc_version_mismatch | the peer's RPC versions are 1.0 to 1.0
Finished/extensions before access                | server | incompatible unsupported_extension | sealed unsupported_extension | critical extension 0xff00 is unknown
Finished/access before its own scheme            | client | denied spiffe://example.org/theirs | sealed access_denied      | no rule allows it

# 15.2. Time
chain/expired leaf                               | both   | peer certificate_expired        | sealed certificate_expired | expired
chain/leaf that is not valid yet                 | both   | peer certificate_expired        | sealed certificate_expired | not valid yet
chain/expired intermediate                       | both   | peer certificate_expired        | sealed certificate_expired | expired
chain/intermediate that is not valid yet         | both   | peer certificate_expired        | sealed certificate_expired | not valid yet
chain/expired anchor                             | both   | peer certificate_expired        | sealed certificate_expired | expired

# 15.2. Two faults at once
chain/name before time                           | both   | peer bad_certificate            | sealed bad_certificate    | no URI in subjectAltName
chain/time before the path                       | both   | peer certificate_expired        | sealed certificate_expired | expired
chain/leaf's key before time                     | both   | peer bad_certificate            | sealed bad_certificate    | certificate 0 has a key of a kind that is not supported
chain/time before trust domain                   | both   | peer certificate_expired        | sealed certificate_expired | expired
chain/time before the anchor                     | both   | peer certificate_expired        | sealed certificate_expired | expired
chain/trust domain before purpose                | both   | peer unknown_trust_domain       | sealed unknown_trust_domain | there is no usable trust bundle for the trust domain elsewhere.example

# 15.2. Trust
chain/unknown trust domain                       | both   | peer unknown_trust_domain       | sealed unknown_trust_domain | there is no usable trust bundle for the trust domain elsewhere.example
chain/anchor that nobody trusts                  | both   | peer bad_certificate            | sealed bad_certificate    | not signed by an authority of its trust domain
chain/our domain's name from a federated anchor  | both   | peer bad_certificate            | sealed bad_certificate    | not signed by an authority of its trust domain
chain/a federated domain's name from our anchor  | both   | peer bad_certificate            | sealed bad_certificate    | not signed by an authority of its trust domain
chain/missing intermediate                       | both   | peer bad_certificate            | sealed bad_certificate    | not signed by an authority of its trust domain
chain/signature changed                          | both   | peer bad_certificate            | sealed bad_certificate    | not signed by an authority of its trust domain
chain/intermediate's signature changed           | both   | peer bad_certificate            | sealed bad_certificate    | not signed by an authority of its trust domain

# 15.2. Order and length
chain/leaf last                                  | both   | peer bad_certificate            | sealed bad_certificate    | the leaf is a certificate authority's certificate
chain/intermediate of another chain              | both   | peer bad_certificate            | sealed bad_certificate    | not signed by an authority of its trust domain
chain/longer than an intermediate allows         | both   | peer bad_certificate            | sealed bad_certificate    | an issuer's path length constraint is exceeded
chain/longer than the anchor allows              | both   | peer bad_certificate            | sealed bad_certificate    | an issuer's path length constraint is exceeded

# 15.1. Names
chain/no subjectAltName                          | both   | peer bad_certificate            | sealed bad_certificate    | no URI in subjectAltName
chain/no URI                                     | both   | peer bad_certificate            | sealed bad_certificate    | no URI in subjectAltName
chain/two URIs                                   | both   | peer bad_certificate            | sealed bad_certificate    | 2 URIs in subjectAltName, not exactly 1
chain/the same URI twice                         | both   | peer bad_certificate            | sealed bad_certificate    | 2 URIs in subjectAltName, not exactly 1
chain/second URI that cannot be read             | both   | peer bad_certificate            | sealed bad_certificate    | 2 URIs in subjectAltName, not exactly 1
chain/empty second URI                           | both   | peer bad_certificate            | sealed bad_certificate    | 2 URIs in subjectAltName, not exactly 1
chain/URI that cannot be read                    | both   | peer bad_certificate            | sealed bad_certificate    | certificate 0 is malformed: URI in subjectAltName
chain/URI with a zero byte                       | both   | peer bad_certificate            | sealed bad_certificate    | the URI is not a SPIFFE ID
chain/name in the common name and as DNS name only | both   | peer bad_certificate            | sealed bad_certificate    | no URI in subjectAltName
chain/URI: *                                     | both   | peer bad_certificate            | sealed bad_certificate    | the URI is not a SPIFFE ID

# 15.2. The leaf and the intermediates
chain/leaf that is a CA                          | both   | peer bad_certificate            | sealed bad_certificate    | the leaf is a certificate authority's certificate
chain/leaf without keyUsage                      | both   | peer bad_certificate            | sealed bad_certificate    | the leaf's keyUsage lacks digitalSignature
chain/leaf without digitalSignature              | both   | peer bad_certificate            | sealed bad_certificate    | the leaf's keyUsage lacks digitalSignature
chain/leaf that may sign certificates            | both   | peer bad_certificate            | sealed bad_certificate    | the leaf's keyUsage has keyCertSign or cRLSign
chain/leaf that may sign revocation lists        | both   | peer bad_certificate            | sealed bad_certificate    | the leaf's keyUsage has keyCertSign or cRLSign
chain/purpose of a client only                   | client | peer bad_certificate            | sealed bad_certificate    | extendedKeyUsage does not allow the role that the certificate is used in
chain/purpose of a server only                   | server | peer bad_certificate            | sealed bad_certificate    | extendedKeyUsage does not allow the role that the certificate is used in
chain/another purpose                            | both   | peer bad_certificate            | sealed bad_certificate    | extendedKeyUsage does not allow the role that the certificate is used in
chain/any purpose, which names none              | both   | peer bad_certificate            | sealed bad_certificate    | extendedKeyUsage does not allow the role that the certificate is used in
chain/unknown critical extension                 | both   | peer bad_certificate            | sealed bad_certificate    | a critical extension that is not supported
chain/key on P-521                               | both   | peer bad_certificate            | sealed bad_certificate    | certificate 0 has a key of a kind that is not supported
chain/RSA key of 1,024 bits                      | both   | peer bad_certificate            | sealed bad_certificate    | the leaf has an RSA key of 1024 bits, less than 2,048
chain/RSA key of 4,104 bits                      | both   | peer bad_certificate            | sealed bad_certificate    | certificate 0 has an RSA key of 4104 bits, more than 4,096
chain/intermediate that is no CA                 | both   | peer bad_certificate            | sealed bad_certificate    | certificate 1 is not a certificate authority's, or may not sign certificates
chain/intermediate without basicConstraints      | both   | peer bad_certificate            | sealed bad_certificate    | certificate 1 is not a certificate authority's, or may not sign certificates
chain/intermediate that may not sign certificates | both   | peer bad_certificate            | sealed bad_certificate    | certificate 1 is not a certificate authority's, or may not sign certificates
chain/intermediate of a client's purpose         | client | peer bad_certificate            | sealed bad_certificate    | extendedKeyUsage does not allow the role that the certificate is used in
chain/intermediate of a server's purpose         | server | peer bad_certificate            | sealed bad_certificate    | extendedKeyUsage does not allow the role that the certificate is used in
chain/URI that an intermediate does not permit   | both   | peer bad_certificate            | sealed bad_certificate    | the URI spiffe://example.org/theirs is not permitted
chain/URI that an intermediate excludes          | both   | peer bad_certificate            | sealed bad_certificate    | the URI spiffe://example.org/theirs is excluded
chain/URI of the domain above the permitted      | both   | peer bad_certificate            | sealed bad_certificate    | the URI spiffe://example.org/theirs is not permitted
chain/leaf as issuer                             | both   | peer bad_certificate            | sealed bad_certificate    | certificate 1 is not a certificate authority's, or may not sign certificates
chain/leaf: *                                    | both   | peer bad_certificate            | sealed bad_certificate    | certificate 0 is malformed:

# 15.2. Revocation
chain/revoked leaf                               | both   | peer certificate_revoked        | sealed certificate_revoked | revoked
chain/revoked intermediate                       | both   | peer certificate_revoked        | sealed certificate_revoked | revoked
chain/no list of the intermediate                | both   | peer bad_certificate            | sealed bad_certificate    | no current one of its issuer covers every certificate
chain/list that is out of date                   | both   | peer bad_certificate            | sealed bad_certificate    | no current one of its issuer covers every certificate

# 3, 12, 19. Messages in the wrong place
order/ClientInit reflected as it is due from the server | client | peer unexpected_message         | clear unexpected_message  | ClientInit where ServerInit is due
order/ClientInit twice                           | server | peer unexpected_message         | sealed unexpected_message | ClientInit where ClientFinished is due
order/ClientInit twice in one write              | server | peer unexpected_message         | sealed unexpected_message | ClientInit where ClientFinished is due
order/record right behind ClientInit             | server | peer unexpected_message         | sealed unexpected_message | a frame of the unknown type 0x6
order/Finished skipped                           | both   | peer unexpected_message         | sealed unexpected_message | a frame of the unknown type 0x6
order/ServerInit reflected                       | server | peer unexpected_message         | sealed unexpected_message | ServerInit where ClientFinished is due
order/ServerFinished reflected                   | server | peer unexpected_message         | sealed unexpected_message | ServerFinished where ClientFinished is due
order/ServerFinished reflected under the type that is due | server | peer decrypt_error              | sealed decrypt_error      | ClientFinished does not open
order/ServerFinished's content sealed as ClientFinished | server | peer decode_error               | sealed decode_error       | ClientFinished ends too early
order/Finished in two frames                     | both   | peer decrypt_error              | sealed decrypt_error      | Finished does not open
order/ServerFinished before ServerInit           | client | peer unexpected_message         | clear unexpected_message  | ServerFinished where ServerInit is due
order/ServerInit twice                           | client | peer unexpected_message         | sealed unexpected_message | ServerInit where ServerFinished is due
order/ClientFinished from a server               | client | peer unexpected_message         | sealed unexpected_message | ClientFinished where ServerFinished is due
stale/ClientInit and ClientFinished of an earlier handshake | server | peer decrypt_error              | sealed decrypt_error      | ClientFinished does not open
stale/ServerInit and ServerFinished of an earlier handshake | client | peer decrypt_error              | sealed decrypt_error      | ServerFinished does not open
stale/Finished of an earlier handshake           | both   | peer decrypt_error              | sealed decrypt_error      | Finished does not open
stale/content of an earlier Finished, sealed anew | both   | peer decrypt_error              | sealed decrypt_error      | the peer's signature does not fit its certificate

# 13.3, 14.1. Messages behind the handshake are records of the wrong type
order/Finished twice                             | server | record WrongType { found: 68 }  | none
order/Finished twice                             | client | record WrongType { found: 67 }  | none
order/handshake begins again                     | server | record WrongType { found: 65 }  | none
order/handshake begins again                     | client | record WrongType { found: 66 }  | none
order/ClientInit to a client that is done        | client | record WrongType { found: 65 }  | none
order/record right behind ServerFinished         | client | record Authentication           | none
stale/records of an earlier connection           | both   | record Authentication           | none

# 13.3. Alerts in place of the first message
alert/first: clear                               | both   | alert no_common_suite           | none
alert/first: clear with a reason                 | both   | alert timeout "too late"        | none
alert/first: clear with the longest reason       | both   | alert timeout "{LONG}"          | none
alert/first: clear with control characters       | both   | peer decode_error               | none
alert/first: clear with a reason that is not ASCII | both   | peer decode_error               | none
alert/first: clear, about access                 | both   | alert handshake_failure         | none
alert/first: clear, about a certificate          | both   | alert handshake_failure         | none
alert/first: clear, of a side without an identity | both   | alert no_identity              | none
alert/first: clear, of an unknown code           | both   | alert handshake_failure         | none
alert/first: clear, of the highest code          | both   | alert handshake_failure         | none
alert/first: clear, empty                        | both   | peer decode_error               | none
alert/first: clear, one byte                     | both   | peer decode_error               | none
alert/first: clear, without a reason's length    | both   | peer decode_error               | none
alert/first: clear, with a byte left over        | both   | peer decode_error               | none
alert/first: clear, reason beyond the frame      | both   | peer decode_error               | none
alert/first: clear, twice                        | both   | alert timeout                   | none

# 13.3. Alerts in place of Finished
alert/second: clear                              | both   | alert no_common_suite           | none
alert/second: clear, about access                | both   | alert handshake_failure         | none
alert/second: clear, malformed                   | both   | peer decode_error               | none
alert/second: sealed                             | both   | sealed-alert internal           | none
alert/second: sealed, about access               | both   | sealed-alert access_denied      | none
alert/second: sealed, about a certificate        | both   | sealed-alert certificate_expired "renew it" | none
alert/second: sealed, of an unknown code         | both   | sealed-alert handshake_failure  | none
alert/second: sealed with the longest reason     | both   | sealed-alert internal "{LONG}"  | none
alert/second: sealed, malformed                  | both   | peer decode_error               | none
alert/second: sealed, with a byte left over      | both   | peer decode_error               | none
alert/second: sealed, reason that is not ASCII   | both   | peer decode_error               | none
alert/second: sealed, tag changed                | both   | peer decrypt_error              | none
alert/second: sealed with the peer's keys        | both   | peer decrypt_error              | none
alert/second: sealed with the message's keys     | both   | peer decrypt_error              | none
alert/second: sealed type, clear body            | both   | peer decrypt_error              | none
alert/second: sealed type, empty body            | both   | peer decrypt_error              | none
alert/second: sealed body, clear type            | both   | peer decode_error               | none
alert/second: clear, then sealed                 | both   | alert timeout                   | none
alert/second: alert, then the Finished that was due | both   | sealed-alert overloaded         | none

# 13.3. Late alerts: a client takes a sealed one in place of the first record, and nobody anything else
alert/late: sealed                               | client | sealed-alert access_denied      | none
alert/late: sealed, with a reason                | client | sealed-alert certificate_revoked "see the list" | none
alert/late: sealed with the longest reason       | client | sealed-alert internal "{LONG}"  | none
alert/late: sealed, of an unknown code           | client | sealed-alert handshake_failure  | none
alert/late: twice                                | client | sealed-alert access_denied      | none
alert/late: sealed, malformed                    | client | record WrongType { found: 78 }  | none
alert/late: sealed, tag changed                  | client | record WrongType { found: 78 }  | none
alert/late: sealed with the peer's keys          | client | record WrongType { found: 78 }  | none
alert/late: sealed with the message's keys       | client | record WrongType { found: 78 }  | none
alert/late: sealed as a record                   | client | record WrongType { found: 78 }  | none
alert/late: too long                             | client | record WrongType { found: 78 }  | none
alert/late: sealed*                              | server | record WrongType { found: 78 }  | none
alert/late: too long                             | server | record WrongType { found: 78 }  | none
alert/late: twice                                | server | record WrongType { found: 78 }  | none
alert/late: clear                                | both   | record TooShort { length: 7 }   | none
alert/late: clear with the longest reason        | both   | record WrongType { found: 79 }  | none
alert/late: cut by the end of the stream         | client | truncated Record                | none
alert/late: cut by the end of the stream         | server | record WrongType { found: 78 }  | none
alert/late: its header cut by the end of the stream | both   | truncated Record                | none
alert/late: behind the first record*             | both   | record WrongType { found: 78 }  | none

# 14.1. Records
record/*length 0                                 | both   | record TooShort { length: 0 }   | none
record/*length 19                                | both   | record TooShort { length: 19 }  | none
record/*length of 1 MiB and 1                    | both   | record TooLong { length: 1048577 } | none
record/*longest length there is                  | both   | record TooLong { length: 4294967295 } | none
record/*type 7                                   | both   | record WrongType { found: 7 }   | none
record/*type with high bits                      | both   | record WrongType { found: 16777222 } | none
record/*type with the next bit                   | both   | record WrongType { found: 262 } | none
record/*type in the other order of bytes         | both   | record WrongType { found: 100663296 } | none
record/*wrong length and type                    | both   | record TooShort { length: 3 }   | none
record/*tag changed                              | both   | record Authentication           | none
record/*ciphertext changed                       | both   | record Authentication           | none
record/*tag only, all zero                       | both   | record Authentication           | none
record/*shortened by a byte                      | both   | record Authentication           | none
record/*lengthened by a byte                     | both   | record Authentication           | none
record/*one left out                             | both   | record Authentication           | none
record/*an epoch left out                        | both   | record Authentication           | none
record/*counter with high bits                   | both   | record Authentication           | none
record/*in the other direction                   | both   | record Authentication           | none
record/*without the mask                         | both   | record Authentication           | none
record/*of the plain protocol                    | both   | record Authentication           | none
record/*with the header as associated data       | both   | record Authentication           | none
record/replayed                                  | both   | record Authentication           | none
record/swapped                                   | both   | record Authentication           | none
record/reflected                                 | both   | record Authentication           | none
record/the old key after 65,536 records          | both   | record Authentication           | none
record/the next key one record early             | both   | record Authentication           | none

# 14.3. The end of a stream
end/record behind close_notify                   | both   | record AfterClose               | none
end/close_notify twice                           | both   | record AfterClose               | none
end/byte behind close_notify                     | both   | record AfterClose               | none
end/no close_notify                              | both   | truncated MissingClose          | none
end/no close_notify after a record               | both   | truncated MissingClose          | any
end/inside a header*                             | both   | truncated Record                | none
end/behind a header                              | both   | truncated Record                | none
end/inside a record*                             | both   | truncated Record                | none

# `alts::Error`. The end of a stream inside the handshake
end/before the first byte                        | both   | truncated BeforeHandshake       | none
end/after the first byte                         | both   | truncated Handshake             | none
end/inside the first header                      | both   | truncated Handshake             | none
end/behind the first header                      | both   | truncated Handshake             | none
end/inside the first message                     | both   | truncated Handshake             | none
end/before Finished                              | both   | truncated Handshake             | none
end/inside Finished's header                     | both   | truncated Handshake             | none
end/inside Finished                              | both   | truncated Handshake             | none
end/reset before Finished                        | both   | io ConnectionReset              | none

# 13.2, 17. Limits
silence/before the first byte                    | both   | limit timeout                   | clear timeout
silence/inside the first message                 | both   | limit timeout                   | clear timeout
silence/before Finished                          | both   | limit timeout                   | sealed timeout
crowd/no place                                   | server | limit overloaded                | clear overloaded
"""

# The kind of an error says whose fault it is: `alts::Fault`.
FAULTS = {
    "peer": "Peer",
    "denied": "Peer",
    "record": "Peer",
    "truncated": "Peer",
    "foreign": "Incompatible",
    "incompatible": "Incompatible",
    "limit": "Limit",
    "alert": "Refused",
    "sealed-alert": "Refused",
    "identity": "Local",
    "io": "Network",
}


class Row:
    def __init__(self, line, section):
        name, roles, error, said, *words = [cell.strip() for cell in line.split(" | ")]
        self.name = name
        self.roles = ("client", "server") if roles == "both" else (roles,)
        self.error = error.replace("{LONG}", "r" * 120)
        self.said = said
        self.words = words[0] if words else ""
        self.section = section
        self.fault = FAULTS[error.split()[0]]
        self.used = 0

    def covers(self, name, role):
        return role in self.roles and fnmatchcase(name, self.name.replace("[", "[[]"))


def rows():
    section = None
    found = []
    for line in TABLE.strip().split("\n"):
        if line.startswith("# "):
            section = line[2:]
        elif line:
            found.append(Row(line, section))
    return found
