//! `[shim]`: how the script of `--shim` runs the image.

use crate::table::decode::decoder::{Decoder, Key, keys};
use crate::table::decode::form::Form;
use crate::table::types::ShimSettings;
use crate::text::log::quoted;
use crate::text::names::is_variable_name;
use crate::value::mount::split_prefix;
use crate::value::toml::Node;

pub(crate) const SHIM: &[Key<ShimSettings>] = keys! { ShimSettings {
    "image", Form::Text, "The image.", (image = image);
    "mounts", Form::Strings, "Volumes, as `-v` takes them.", (mounts = array of mount);
    "env", Form::Strings, "Names of variables that are passed on.", (env);
    "network", Form::Text, "The network, as `--network` takes it.", (network = network);
} };

impl Decoder {
    fn image(&mut self, node: Node<'_>) -> Option<String> {
        let image = self.name_of(node, "an image")?;
        if image.starts_with('-') {
            self.mistake(node.span(), "`image` is not the name of an image");
            return None;
        }
        Some(image)
    }

    fn network(&mut self, node: Node<'_>) -> Option<String> {
        self.name_of(node, "a network")
    }

    fn mount(&mut self, node: Node<'_>) -> Option<String> {
        let mount = self.text(node)?;
        // What would be a path elsewhere is a volume's name, or nothing at all, to an engine.
        if mount.is_empty() || mount.starts_with(['~', '$']) && split_prefix(&mount).0.is_none() {
            let message = format!("{} in `mounts` cannot be mounted", quoted(&mount));
            let hint = "it is a value of `-v`, and may begin with `$HOME` or `$PWD`";
            self.mistake_with_hint(node.span(), message, hint);
        }
        Some(mount)
    }
}

fn env(decoder: &mut Decoder, node: Node<'_>, shim: &mut ShimSettings) {
    shim.env = decoder.array(node, Decoder::text);
    for name in shim.env.iter().filter(|name| !is_variable_name(name.as_bytes())) {
        decoder.mistake(node.span(), format!("{} is not a valid variable name", quoted(name)));
    }
}
