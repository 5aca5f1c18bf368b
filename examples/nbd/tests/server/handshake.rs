//! The handshake.

use alts_nbd::export::{Export, Exports};
use alts_nbd::negotiation::{MAX_OPTION_DATA, MAX_QUERIES};
use alts_nbd::server::Server;
use alts_nbd::wire::flags::CommandFlags;
use alts_nbd::wire::option::{encode_context_request, encode_info_request, number};
use alts_nbd::wire::option_reply::{
    BlockSize, ExportInfo, Info, OptionError, ReplyType, decode_context, decode_server, info,
};
use alts_nbd::wire::request::Command;
use alts_nbd::wire::{BASE_ALLOCATION, Errno};
use tokio::io::AsyncReadExt as _;

use super::raw::{Client, MIB, pattern_exports, pattern_memory, server};

fn two() -> (Server, Exports) {
    let mut exports = pattern_exports(MIB);
    let other =
        Export::new("other", std::sync::Arc::new(pattern_memory(2 * MIB))).expect("it is valid");
    exports
        .add(other.description("another one").expect("it is valid").read_only())
        .expect("it is valid");
    (server(4 * MIB), exports)
}

fn error(replies: &[(ReplyType, Vec<u8>)]) -> OptionError {
    match replies {
        [(ReplyType::Error(error), _)] => *error,
        other => panic!("{other:?} is not one error"),
    }
}

#[tokio::test]
async fn all_informations() {
    let (server, exports) = two();
    let mut client = Client::greeted(&server, &exports).await;
    let asked = [info::NAME, info::DESCRIPTION, info::BLOCK_SIZE, 99];
    let request = encode_info_request("other", &asked);
    let replies = client.option(number::INFO, &request).await;
    let infos: Vec<_> = replies[..replies.len() - 1]
        .iter()
        .map(|(reply, data)| {
            assert_eq!(*reply, ReplyType::Info);
            Info::decode(data).unwrap()
        })
        .collect();
    assert_eq!(
        infos[..3],
        [
            Info::Name("other"),
            Info::Description("another one"),
            Info::BlockSize(BlockSize::DEFAULT),
        ]
    );
    let Info::Export(ExportInfo { size, flags }) = infos[3] else { panic!("{:?}", infos[3]) };
    assert_eq!((size, flags.0), (2 * MIB as u64, 0x50f), "read-only, and no DF without structure");
    // GO says the same.
    assert_eq!(client.option(number::GO, &request).await, replies);
    client.disconnect().await;
}

#[tokio::test]
async fn lists_and_defaults() {
    let (server, exports) = two();
    let mut client = Client::greeted(&server, &exports).await;
    let replies = client.option(number::LIST, b"").await;
    let names: Vec<_> = replies[..2].iter().map(|(_, data)| decode_server(data).unwrap()).collect();
    assert_eq!(names, [("disk", ""), ("other", "another one")]);
    assert_eq!(replies[2].0, ReplyType::Ack);
    assert_eq!(error(&client.option(number::LIST, b"x").await), OptionError::Invalid);
    let unknown = client.option(number::GO, &encode_info_request("nothing", &[])).await;
    assert_eq!(error(&unknown), OptionError::UnknownExport);
    client.go("").await;
    client.disconnect().await;

    // What a client does not see does not exist.
    let some = exports.visible(|export| export.name() == "other");
    let mut client = Client::greeted(&server, &some).await;
    assert_eq!(client.option(number::LIST, b"").await.len(), 2);
    let hidden = client.option(number::GO, &encode_info_request("disk", &[])).await;
    assert_eq!(error(&hidden), OptionError::UnknownExport);
}

#[tokio::test]
async fn export_name_with_and_without_padding() {
    let (server, exports) = two();
    for (flags, padding) in [(3, 0), (1, 124), (2, 0), (0, 124)] {
        let mut client = Client::silent(&server, &exports);
        client.reader.read_exact(&mut [0; 18]).await.unwrap();
        client.send(&[0, 0, 0, flags]).await;
        client.send(b"IHAVEOPT\0\0\0\x01\0\0\0\x04disk").await;
        let mut answer = vec![0; 10 + padding];
        client.reader.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer[..8], (MIB as u64).to_be_bytes());
        assert!(answer[10..].iter().all(|&byte| byte == 0));
        client.read(0, 512).await;
        client.disconnect().await;
    }
    let mut client = Client::greeted(&server, &exports).await;
    client.send(b"IHAVEOPT\0\0\0\x01\0\0\0\x04dusk").await;
    assert!(client.is_closed().await, "this option has no error");
}

#[tokio::test]
async fn unknown_options_are_skipped_with_their_data() {
    let (server, exports) = two();
    let mut client = Client::greeted(&server, &exports).await;
    for number in [4, 11, 12, 255, u32::MAX] {
        let replies = client.option(number, &[7; 1000]).await;
        assert_eq!(error(&replies), OptionError::Unsupported);
    }
    assert_eq!(error(&client.option(number::STARTTLS, b"").await), OptionError::Unsupported);
    assert_eq!(error(&client.option(number::STARTTLS, b"x").await), OptionError::Invalid);
    client.go("disk").await;
    client.disconnect().await;
}

#[tokio::test]
async fn contexts() {
    let (server, exports) = two();
    let mut client = Client::greeted(&server, &exports).await;
    let set = |name, queries| encode_context_request(name, queries);
    let one = set("disk", &[BASE_ALLOCATION]);
    let early = client.option(number::SET_META_CONTEXT, &one).await;
    assert_eq!(error(&early), OptionError::Invalid, "structured replies come first");
    client.option(number::STRUCTURED_REPLY, b"").await;
    assert_eq!(client.option(number::STRUCTURED_REPLY, b"").await[0].0, ReplyType::Ack);

    for (queries, count) in [
        (&[][..], 1),
        (&["base:"], 1),
        (&["base:allocation"], 1),
        (&["x:", "base:", "base:allocation"], 1),
        (&["base:other"], 0),
        (&["nonsense"], 0),
    ] {
        let replies = client.option(number::LIST_META_CONTEXT, &set("disk", queries)).await;
        assert_eq!(replies.len(), count + 1, "{queries:?}");
    }
    for (queries, count) in
        [(&[][..], 0), (&["base:"], 0), (&["qemu:x", "base:allocation"], 1), (&["base:x"], 0)]
    {
        let replies = client.option(number::SET_META_CONTEXT, &set("disk", queries)).await;
        assert_eq!(replies.len(), count + 1, "{queries:?}");
        if count > 0 {
            assert_eq!(decode_context(&replies[0].1).unwrap().1, BASE_ALLOCATION);
        }
    }
    let many = vec!["x:y"; MAX_QUERIES as usize + 1];
    let replies = client.option(number::SET_META_CONTEXT, &set("disk", &many)).await;
    assert_eq!(error(&replies), OptionError::TooBig);
    let unknown = client.option(number::SET_META_CONTEXT, &set("nothing", &["base:"])).await;
    assert_eq!(error(&unknown), OptionError::UnknownExport);
    client.go("disk").await;
    let status = client.call(Command::BlockStatus, CommandFlags::NONE, 0, 4096).await;
    assert_eq!(status.code(), Some(Errno::Inval), "the last selection has failed");
}

#[tokio::test]
async fn a_selection_is_for_the_export_it_named() {
    let (server, exports) = two();
    let mut client = Client::greeted(&server, &exports).await;
    client.option(number::STRUCTURED_REPLY, b"").await;
    let contexts = encode_context_request("disk", &[BASE_ALLOCATION]);
    client.option(number::SET_META_CONTEXT, &contexts).await;
    client.go("other").await;
    let status = client.call(Command::BlockStatus, CommandFlags::NONE, 0, 4096).await;
    assert_eq!(status.code(), Some(Errno::Inval));
    client.disconnect().await;
}

#[tokio::test]
async fn lengths_that_do_not_add_up_are_invalid_and_the_next_option_is_understood() {
    let (server, exports) = two();
    let mut client = Client::greeted(&server, &exports).await;
    client.option(number::STRUCTURED_REPLY, b"").await;
    let go = encode_info_request("disk", &[1, 2, 3]);
    let set = encode_context_request("disk", &[BASE_ALLOCATION]);
    for (number, data) in [(number::GO, &go), (number::INFO, &go), (number::SET_META_CONTEXT, &set)]
    {
        let mut wrong = vec![data[..data.len() - 1].to_vec(), [data, &b"x"[..]].concat(), vec![]];
        for value in [5_u32, 0xffff_ffff, 0x7fff_ffff, 0] {
            let mut data = data.clone();
            data[..4].copy_from_slice(&value.to_be_bytes());
            wrong.push(data);
        }
        wrong.push({
            let mut data = data.clone();
            data[4] = 0;
            data
        });
        for data in wrong {
            let replies = client.option(number, &data).await;
            assert_eq!(error(&replies), OptionError::Invalid, "{number} {data:?}");
        }
    }
    client.go("disk").await;
    client.disconnect().await;
}

#[tokio::test]
async fn too_much_data_is_read_away() {
    let (server, exports) = two();
    let mut client = Client::greeted(&server, &exports).await;
    let data = vec![0; MAX_OPTION_DATA as usize + 1];
    for number in [number::GO, number::LIST, 77] {
        assert_eq!(error(&client.option(number, &data).await), OptionError::TooBig);
    }
    client.go("disk").await;
    client.disconnect().await;
}

#[tokio::test]
async fn abort_is_acknowledged() {
    let (server, exports) = two();
    for data in [&b""[..], b"whatever"] {
        let mut client = Client::greeted(&server, &exports).await;
        assert_eq!(client.option(number::ABORT, data).await, [(ReplyType::Ack, vec![])]);
        assert!(client.is_closed().await);
        assert!(client.served.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn a_server_that_drains_refuses_what_is_new_and_completes_the_rest() {
    let (server, exports) = two();
    let mut before = Client::ready(&server, &exports).await;
    before.request(Command::Read, CommandFlags::NONE, 0, MIB).await;
    let mut negotiating = Client::greeted(&server, &exports).await;
    super::raw::until(|| server.figures().in_flight == 1).await;
    server.drain();
    assert_eq!(before.reply(0).await.data(0, MIB).len(), MIB);
    let refused = negotiating.option(number::GO, &encode_info_request("disk", &[])).await;
    assert_eq!(error(&refused), OptionError::Shutdown);
    for command in [Command::Read, Command::Flush, Command::Trim] {
        let reply = before.call(command, CommandFlags::NONE, 0, 512).await;
        assert_eq!(reply.code(), Some(Errno::Shutdown));
    }
    let reply = before.write(CommandFlags::NONE, 0, &[1; 1000]).await;
    assert_eq!(reply.code(), Some(Errno::Shutdown));
    before.disconnect().await;
}
