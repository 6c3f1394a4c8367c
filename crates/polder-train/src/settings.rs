//! Settings as people write them: `optimizer=muon`, `spikes.action=rewind`.

use serde_json::Value;

use crate::{MaskedLm, Packing, Schedule, SpikePolicy, TrainConfig, TrainError};

/// Parts of a run that are absent until one of their settings is named.
const PARTS: [&str; 2] = ["masking", "spikes"];

impl TrainConfig {
    /// The settings of a run of some steps with lines of `name=value`; what follows from them and is not named follows.
    ///
    /// # Errors
    /// Those of [`TrainConfig::set`], or settings that cannot be together.
    pub fn of_settings<T: AsRef<str>>(steps: u64, seed: u64, lines: &[T]) -> Result<Self, TrainError> {
        let mut config = Self::of_steps(steps.max(1), seed);
        config.set_all(lines)?;
        let is_named = |name: &str| lines.iter().any(|l| l.as_ref().split('=').next().is_some_and(|n| n.trim() == name));
        if !is_named("micro_batch_size") && config.ranks > 0 {
            config.micro_batch_size = config.micro_batch_size.min(config.batch_size / config.ranks);
        }
        if is_named("lr") && !is_named("min_lr") {
            config.min_lr = config.lr / 10.0;
        }
        if config.schedule == Schedule::Wsd && !is_named("decay_steps") {
            config.decay_steps = config.steps / 5;
        }
        config.check()?;
        Ok(config)
    }

    /// Changes a setting by name. Settings of a part stand behind a dot: `masking.rate`; the part's name alone with `on` takes
    /// its usual settings, with `off` removes it.
    ///
    /// # Errors
    /// There is no such setting, or it cannot have this value.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), TrainError> {
        let Value::Object(mut all) = to_json(&*self) else { return Ok(()) };
        let (part, inner) = name.split_once('.').map_or((name, None), |(part, inner)| (part, Some(inner)));
        let Some(place) = all.get_mut(part) else { return Err(unknown(name, all.keys().map(String::as_str))) };
        let value = match (part, text) {
            ("packing", "best_fit") => to_json(&Packing::best_fit(self.context)),
            (part, "on") if PARTS.contains(&part) && inner.is_none() => part_default(part),
            (part, "off") if PARTS.contains(&part) && inner.is_none() => Value::Null,
            // What is no JSON is a word: f32, wsd.
            _ => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
        };
        match inner {
            None => *place = value,
            Some(inner) => {
                if place.is_null() {
                    *place = part_default(part);
                }
                let Value::Object(settings) = place else { return Err(unknown(name, std::iter::once(part))) };
                let Some(place) = settings.get_mut(inner) else { return Err(unknown(inner, settings.keys().map(String::as_str))) };
                *place = value;
            }
        }
        let refused = |e: serde_json::Error| TrainError::Setting { name: name.to_owned(), value: text.to_owned(), reason: e.to_string() };
        *self = serde_json::from_value(Value::Object(all)).map_err(refused)?;
        Ok(())
    }

    /// Changes settings from lines of `name=value`.
    ///
    /// # Errors
    /// A line without `=`, or those of [`TrainConfig::set`].
    pub fn set_all<T: AsRef<str>>(&mut self, lines: &[T]) -> Result<(), TrainError> {
        for line in lines.iter().map(AsRef::as_ref) {
            let Some((name, value)) = line.split_once('=') else {
                let reason = "a setting is written NAME=VALUE".to_owned();
                return Err(TrainError::Setting { name: line.to_owned(), value: String::new(), reason });
            };
            self.set(name.trim(), value.trim())?;
        }
        Ok(())
    }
}

fn to_json<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn part_default(part: &str) -> Value {
    match part {
        "masking" => to_json(&MaskedLm::default()),
        "spikes" => to_json(&SpikePolicy::default()),
        _ => Value::Null,
    }
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> TrainError {
    TrainError::NoSetting { name: name.to_owned(), known: known.map(str::to_owned).collect() }
}

#[cfg(test)]
mod tests {
    use polder_model::Recompute;

    use super::*;
    use crate::{Optimizer, Precision, SpikeAction};

    #[test]
    fn settings_are_changed_by_name() {
        let mut config = TrainConfig::default();
        let lines = [
            "lr=1e-3",
            "optimizer=muon",
            "precision = bf16",
            "recompute=layers",
            "schedule=wsd",
            "packing=best_fit",
            "spikes.action=rewind",
            "spikes.window=64",
            "masking=on",
            "keep_best=true",
        ];
        config.set_all(&lines).expect("set");
        let spikes = SpikePolicy { action: SpikeAction::Rewind, window: 64, ..SpikePolicy::default() };
        let expected = TrainConfig {
            lr: 1e-3,
            optimizer: Optimizer::Muon,
            precision: Precision::Bf16,
            recompute: Recompute::Layers,
            schedule: Schedule::Wsd,
            packing: Packing::best_fit(256),
            spikes: Some(spikes),
            masking: Some(MaskedLm::default()),
            keep_best: true,
            ..TrainConfig::default()
        };
        assert_eq!(config, expected);
        config.set("masking", "off").expect("set");
        assert_eq!(config.masking, None);
    }

    #[test]
    fn what_follows_from_settings_follows_unless_it_is_named() {
        let of = |lines: &[&str]| TrainConfig::of_settings(100, 1, lines);
        let config = of(&["lr=1e-4", "batch_size=4", "ranks=2", "schedule=wsd"]).expect("settings");
        assert_eq!((config.min_lr, config.micro_batch_size, config.decay_steps), (1e-5, 2, 20));
        let config = of(&["lr=1e-4", "min_lr=0", "batch_size=4", "micro_batch_size=1", "schedule=wsd", "decay_steps=7"]).expect("settings");
        assert_eq!((config.min_lr, config.micro_batch_size, config.decay_steps), (0.0, 1, 7));
        assert_eq!(of(&[]).expect("none"), TrainConfig::of_steps(100, 1));
        assert!(matches!(of(&["ranks=3"]), Err(TrainError::Option { option: "ranks", .. })));
    }

    #[test]
    fn what_is_no_setting_is_refused_with_those_there_are() {
        let mut config = TrainConfig::default();
        let refused = |config: &mut TrainConfig, line: &str| {
            let e = config.set_all(&[line]).expect_err(line);
            format!("{e} {}", polder_base::Advice::hint(&e).unwrap_or_default())
        };
        assert!(refused(&mut config, "learning_rate=1").contains("lr"));
        assert!(refused(&mut config, "spikes.windows=1").contains("window"));
        assert!(refused(&mut config, "optimizer=sgd").contains("adamw"));
        assert!(refused(&mut config, "steps=many").contains("steps"));
        assert!(refused(&mut config, "steps").contains("NAME=VALUE"));
        assert_eq!(config, TrainConfig::default());
    }
}
