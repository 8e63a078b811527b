//! Images: preverb's static binary, the base of most tests, contexts made by a test, stand-ins.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::command::run;
use super::engine::{Engine, engine};
use super::scratch::Scratch;
use super::{cache, repository, unique};

/// An image of the engine, by its tag.
#[derive(Debug)]
pub(crate) struct Image {
    tag: String,
    engine: Option<&'static Engine>,
}

impl Image {
    /// An image that outlives the test.
    pub(crate) fn kept(tag: &str) -> Self {
        Self { tag: tag.to_owned(), engine: None }
    }

    pub(crate) fn tag(&self) -> &str {
        &self.tag
    }

    /// Gives the image another name instead, for what is inside it and names itself.
    #[track_caller]
    pub(crate) fn renamed(mut self, tag: &str) -> Self {
        let engine = self.engine.expect("an image that outlives the test keeps its name");
        engine.output(["tag", &self.tag, tag]).succeeded();
        engine.output(["image", "rm", &self.tag]).succeeded();
        tag.clone_into(&mut self.tag);
        self
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if let Some(engine) = self.engine {
            engine.output(["image", "rm", "--force", &self.tag]);
        }
    }
}

/// A build context of one test.
#[derive(Debug)]
pub(crate) struct Context {
    scratch: Scratch,
}

impl Context {
    /// An empty context.
    pub(crate) fn new() -> Self {
        Self { scratch: Scratch::new() }
    }

    /// Adds the static binary, as `preverb`.
    pub(crate) fn preverb(self) -> Self {
        self.copy("preverb", preverb())
    }

    /// Adds the static busybox, as `busybox`.
    pub(crate) fn busybox(self) -> Self {
        self.copy("busybox", &busybox())
    }

    fn copy(self, name: &str, from: &Path) -> Self {
        std::fs::copy(from, self.scratch.path().join(name)).unwrap();
        self
    }

    /// Adds a file.
    pub(crate) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.scratch.file(name, content);
        self
    }

    /// Builds the context with this Dockerfile; the image is removed on drop.
    #[track_caller]
    pub(crate) fn build(self, engine: &'static Engine, dockerfile: &str) -> Image {
        self.scratch.file("Dockerfile", dockerfile);
        let tag = unique("image");
        engine.build(self.scratch.path(), &tag, &["--quiet"]);
        Image { tag, engine: Some(engine) }
    }
}

/// preverb and busybox (with `sh`, `sleep` and its other names in `/bin`) and a user `app`, 1000:1000,
/// whose home is `/home/app`; `ENTRYPOINT ["preverb"]` and no table.
pub(crate) fn base() -> Image {
    static BASE: OnceLock<()> = OnceLock::new();
    const TAG: &str = "preverb-test-base";
    BASE.get_or_init(|| {
        let engine = engine().expect("a test asks for the engine first");
        let context = Context::new()
            .preverb()
            .busybox()
            .file("passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n")
            .file("group", "root:x:0:\napp:x:1000:\nextra:x:2000:app\n")
            .file(
                "Dockerfile",
                r#"FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN mkdir -p /tmp /home/app /root /usr/local/bin /etc/preverb && chmod 1777 /tmp && chown 1000:1000 /home/app
COPY passwd group /etc/
COPY preverb /usr/local/bin/preverb
ENV PATH=/usr/local/bin:/bin
ENTRYPOINT ["preverb"]
"#,
            );
        let _alone = lock("base");
        engine.build(context.scratch.path(), TAG, &["--quiet"]);
    });
    Image::kept(TAG)
}

/// The image `preverb`, built by the top-level Dockerfile, which `COPY --from=preverb` refers to.
pub(crate) fn preverb_image() -> Image {
    static IMAGE: OnceLock<()> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let engine = engine().expect("a test asks for the engine first");
        stand_ins(engine, &["rust:1.95-slim-bookworm"]);
        engine.build(repository(), "preverb", &[]);
    });
    Image::kept("preverb")
}

/// The static binary for this machine, out of the image `preverb`.
pub(crate) fn preverb() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let engine = engine().expect("a test asks for the engine first");
        let path = cache().join("preverb");
        copy_out(engine, &preverb_image(), "/preverb", &path);
        path
    })
}

/// Copies a file of an image, of any processor's, to the host.
#[track_caller]
pub(crate) fn copy_out(engine: &Engine, image: &Image, from: &str, to: &Path) {
    let name = unique("copy");
    engine.output(["create", "--name", &name, image.tag()]).succeeded();
    let new = to.with_extension("new");
    let copied = engine.output([OsStr::new("cp"), format!("{name}:{from}").as_ref(), new.as_ref()]);
    engine.output(["rm", "--force", &name]).succeeded();
    copied.succeeded();
    // Another run of the tests may be reading the old one.
    std::fs::rename(new, to).unwrap();
}

/// The path of a static busybox; Debian's package `busybox-static` has it.
fn busybox() -> PathBuf {
    ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.is_file())
        .expect("the container tests need busybox-static")
}

/// Makes sure that the images in a Dockerfile exist: local, pulled, or a stand-in under that name.
#[track_caller]
pub(crate) fn stand_ins(engine: &Engine, images: &[&str]) {
    let _alone = lock("stand-ins");
    let mut script = Command::new(repository().join("tests/containers/stand-ins"));
    script.arg(engine.program()).arg(cache().join("stand-ins"));
    script.args(images);
    run(&mut script, b"", Duration::from_mins(15)).succeeded();
}

/// Excludes other threads, and other processes if each test is one, until it is dropped.
fn lock(name: &str) -> File {
    let file = File::create(cache().join(format!("{name}.lock"))).unwrap();
    file.lock().unwrap();
    file
}
