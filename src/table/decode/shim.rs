//! `[shim]`: how the script of `--shim` runs the image.

use crate::table::decode::decoder::{Decoder, Key, keys};
use crate::table::decode::form::Form;
use crate::table::types::ShimSettings;
use crate::text::log::quoted;
use crate::text::names::is_variable_name;
use crate::value::mount::split_prefix;
use crate::value::toml::Node;

pub(crate) const SHIM: &[Key<ShimSettings>] = keys! { ShimSettings {
    "image", Form::Text, "The image.", (image);
    "mounts", Form::Strings, "Volumes, as `-v` takes them.", (mounts);
    "env", Form::Strings, "Names of variables that are passed on.", (env);
    "network", Form::Text, "The network, as `--network` takes it.", (network);
} };

fn image(decoder: &mut Decoder, node: Node<'_>, shim: &mut ShimSettings) {
    shim.image = decoder.text(node);
    if shim.image.as_deref().is_some_and(|image| image.is_empty() || image.starts_with('-')) {
        decoder.mistake(node.span(), "`image` is not the name of an image");
        shim.image = None;
    }
}

fn mounts(decoder: &mut Decoder, node: Node<'_>, shim: &mut ShimSettings) {
    for item in decoder.items(node) {
        let Some(mount) = decoder.string(item) else { continue };
        // What would be a path elsewhere is a volume's name, or nothing at all, to an engine.
        if mount.is_empty() || mount.starts_with(['~', '$']) && split_prefix(mount).0.is_none() {
            let message = format!("{} in `mounts` cannot be mounted", quoted(mount));
            let hint = "it is a value of `-v`, and may begin with `$HOME` or `$PWD`";
            decoder.mistake_with_hint(item.span(), message, hint);
        }
        shim.mounts.push(mount.to_owned());
    }
}

fn env(decoder: &mut Decoder, node: Node<'_>, shim: &mut ShimSettings) {
    shim.env = decoder.array(node, Decoder::text);
    for name in shim.env.iter().filter(|name| !is_variable_name(name.as_bytes())) {
        decoder.mistake(node.span(), format!("{} is not a valid variable name", quoted(name)));
    }
}

fn network(decoder: &mut Decoder, node: Node<'_>, shim: &mut ShimSettings) {
    shim.network = decoder.text(node);
    if shim.network.as_deref() == Some("") {
        decoder.mistake(node.span(), "`network` is not the name of a network");
    }
}
