//! The environment that a name selects, and the table's rules for names of environments.

use std::collections::BTreeSet;

use crate::table::decode::decoder::Decoder;
use crate::table::decode::list::all_steps;
use crate::table::types::Naming;
use crate::text::{EnvironmentName, VerbName, did_you_mean, quoted, set_of};
use crate::value::{Document, Mistake, Node, Span};

/// The meaning of a name from the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named {
    Itself,
    Alias(EnvironmentName),
    Unlisted,
    Like(String),
}

impl<'d> Document<'d> {
    /// Resolves a name to an environment. With `names` in the table only those are valid. Otherwise every
    /// name is valid, except names that look like one of the table's: `production` probably means `prod`,
    /// which a filter `!prod` does not exclude.
    pub(crate) fn named(&'d self, naming: &Naming, name: &EnvironmentName) -> Named {
        let alias = naming.aliases.iter().find(|(alias, _)| alias == name).map(|(_, target)| target);
        if naming.names.as_ref().is_some_and(|names| !names.contains(alias.unwrap_or(name))) {
            return Named::Unlisted;
        }
        if let Some(target) = alias {
            return Named::Alias(target.clone());
        }
        let name = name.as_str();
        if naming.names.is_some() || name == naming.default() || self.environment(name).is_some() {
            return Named::Itself;
        }
        let mut mentioned: BTreeSet<&str> = self.mentioned();
        mentioned.extend(naming.aliases.iter().flat_map(|(alias, target)| [alias.as_str(), target.as_str()]));
        if mentioned.is_empty() || mentioned.contains(name) {
            return Named::Itself;
        }
        mentioned.insert(naming.default());
        let like = mentioned.into_iter().find(|other| looks_like(name, other));
        like.map_or(Named::Itself, |other| Named::Like(other.to_owned()))
    }

    /// The environments that the table defines, and those in filters of steps.
    pub(crate) fn mentioned(&'d self) -> BTreeSet<&'d str> {
        let steps = self.layers().into_iter().filter_map(|layer| layer.get("setup")).flat_map(all_steps);
        let filtered = steps.flat_map(|step| filter_names(step, "environments")).map(|(_, name)| name);
        set_of(filtered.chain(self.environments()))
    }

    pub(super) fn check_naming(&'d self, naming: &Naming, decoder: &mut Decoder) {
        let Some(environment) = self.root().get("environment") else { return };
        let aliases = || environment.below("aliases");
        for alias in aliases() {
            let is_listed = naming.names.iter().flatten().any(|name| name.as_str() == alias.key());
            if is_listed || self.environment(alias.key()).is_some() {
                let message = format!("alias {} is also an environment", quoted(alias.key()));
                decoder.mistake(alias.key_span(), message);
            }
        }
        let (Some(names), Some(list)) = (&naming.names, environment.get("names")) else { return };
        for node in aliases().chain(environment.get("default")) {
            decoder.mistakes.extend(node.as_str().and_then(|name| unlisted(names, name, node.span())));
        }
        for node in self.root().below("environments") {
            decoder.mistakes.extend(unlisted(names, node.key(), node.key_span()));
        }
        if naming.default.is_none() && unlisted(names, naming.default(), list.span()).is_some() {
            let message = format!("`names` does not have `{}`, which is the default", naming.default());
            decoder.mistake(list.span(), message).hint("`default` names another one");
        }
    }
}

/// Whether two names differ only in case, or one starts with the other and only letters follow.
fn looks_like(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() < other.len() { (one, other) } else { (other, one) };
    let (start, rest) = long.as_bytes().split_at(short.len());
    start.eq_ignore_ascii_case(short.as_bytes()) && rest.iter().all(u8::is_ascii_alphabetic)
}

/// The names in a filter of a step, without their `!`.
pub(crate) fn filter_names<'d>(step: Node<'d>, filter: &str) -> impl Iterator<Item = (Node<'d>, &'d str)> {
    step.below(filter).filter_map(|item| {
        let text = item.as_str()?;
        let name = text.strip_prefix('!').unwrap_or(text);
        VerbName::parse(name.as_bytes()).is_some().then_some((item, name))
    })
}

/// The mistake that an environment is not one of `names`, if it is not.
pub(crate) fn unlisted(names: &[EnvironmentName], name: &str, span: Span) -> Option<Mistake> {
    let known = || names.iter().map(EnvironmentName::as_str);
    if known().any(|known| known == name) {
        return None;
    }
    let message = format!("environment {} is not one of `names`", quoted(name));
    Some(Mistake { hint: did_you_mean(name, known()), ..Mistake::new(span, message) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Sources;

    #[test]
    fn similar_names_are_recognized() {
        for (one, other) in [
            ("production", "prod"),
            ("prod", "production"),
            ("Prod", "prod"),
            ("PRODUCTION", "prod"),
            ("dev", "development"),
            ("p", "prod"),
        ] {
            assert!(looks_like(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("prod-eu", "prod"),
            ("dev2", "dev"),
            ("preprod", "prod"),
            ("prod_", "prod"),
            ("staging", "stage"),
            ("ci", "prod"),
        ] {
            assert!(!looks_like(one, other), "{one} {other}");
        }
    }

    #[track_caller]
    fn check_named(table: &str, cases: &[(&str, Named)]) {
        let sources = Sources::one("t.toml".into(), table.to_owned());
        let document = Document::read(&sources, |_| false).expect("well-formed");
        let mut decoder = Decoder::default();
        let settings = document.settings(&mut decoder);
        assert_eq!(decoder.mistakes, []);
        for (name, expected) in cases {
            let name = EnvironmentName::parse(name.as_bytes()).expect("a name");
            assert_eq!(document.named(&settings.environment, &name), *expected, "{table}: {name}");
        }
    }

    fn like(name: &str) -> Named {
        Named::Like(name.to_owned())
    }

    fn alias(name: &str) -> Named {
        Named::Alias(EnvironmentName::parse(name.as_bytes()).expect("a name"))
    }

    #[test]
    fn a_table_that_mentions_no_environment_accepts_every_name() {
        let cases = [("production", Named::Itself), ("Prod", Named::Itself), ("prod", Named::Itself)];
        check_named("[verbs.a]\nexec = ['a']", &cases);
        check_named("[environment]\ndefault = 'prod'", &cases);
    }

    #[test]
    fn a_name_that_looks_like_an_environment_of_the_table_is_rejected() {
        let cases = [
            ("production", like("prod")),
            ("prod", Named::Itself),
            ("prod-eu", Named::Itself),
            ("qa", Named::Itself),
        ];
        check_named("[environment]\naliases = { live = 'prod' }", &[("Live", like("live"))]);
        for table in [
            "[environments.prod]",
            // The default also counts, set or not, once the table mentions any environment.
            "[environments.dev]",
            "[[setup]]\nrun = ['a']\nenvironments = ['!prod']",
            "[[environments.dev.verbs.a.setup]]\nrun = ['a']\nenvironments = ['prod']",
            "[[setup]]\nsetup = [{ setup = [{ run = ['a'], environments = ['!prod'] }] }]",
            "[environment]\ndefault = 'ci'\naliases = { live = 'prod' }",
        ] {
            check_named(table, &cases);
        }
        check_named("[environments.production]\n[environments.prod]", &[("production", Named::Itself)]);
    }

    #[test]
    fn names_exclude_other_environments_and_aliases_are_resolved() {
        let table = "[environment]\nnames = ['prod', 'ci']\naliases = { production = 'prod' }";
        let cases = [
            ("prod", Named::Itself),
            ("production", alias("prod")),
            ("Prod", Named::Unlisted),
            ("prod-eu", Named::Unlisted),
        ];
        check_named(table, &cases);
        let table = "[environment]\naliases = { production = 'prod' }\n[environments.dev]";
        check_named(table, &[("production", alias("prod")), ("development", like("dev"))]);
    }
}
