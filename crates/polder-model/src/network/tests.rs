//! Whole networks of every family against the reference, against finite differences, and against what training must do.

use polder_base::Random;
use polder_compute::{AdamW, Alone, Collective, Reference, RopeScaling, local_ranks};

use super::*;
use crate::{AttentionBias, Family, Llama, ModernBert, preset};

fn small(name: &str) -> ModelConfig {
    let config = preset(name, 61, 32).expect("preset");
    let is_llama = matches!(config.family, Family::Llama(_));
    ModelConfig {
        hidden_size: 32,
        intermediate_size: 48,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        num_key_value_heads: if is_llama { 2 } else { 4 },
        head_dim: 8,
        // Larger than in training, so that every path carries a signal.
        initializer_range: 0.3,
        ..config
    }
}

fn llama(f: &dyn Fn(&mut Llama)) -> ModelConfig {
    let mut own = Llama::plain();
    f(&mut own);
    ModelConfig { family: Family::Llama(own), ..small("nano") }
}

fn modernbert(f: &dyn Fn(&mut ModernBert)) -> ModelConfig {
    let mut own = ModernBert { local_attention: 6, is_global: vec![true, false, true], ..ModernBert::plain(3) };
    f(&mut own);
    ModelConfig { family: Family::ModernBert(own), ..small("modernbert-nano") }
}

/// Every family, head and option, small, with a name for messages.
fn kinds() -> Vec<(&'static str, ModelConfig)> {
    let scaling = RopeScaling { factor: 8.0, low_frequency_factor: 1.0, high_frequency_factor: 4.0, original_context: 16.0 };
    let labels = vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
    let classifier = Head::Classifier { labels };
    vec![
        ("llama", small("nano")),
        ("llama, untied", ModelConfig { tie_word_embeddings: false, ..small("nano") }),
        ("llama 3", llama(&|l| (l.rope_theta, l.rope_scaling) = (100.0, Some(scaling)))),
        ("llama with biases", llama(&|l| (l.attention_bias, l.mlp_bias) = (AttentionBias::All, true))),
        ("qwen 2", llama(&|l| l.attention_bias = AttentionBias::Qkv)),
        ("qwen 3", ModelConfig { head_dim: 12, ..llama(&|l| l.qk_norm = true) }),
        ("gpt2", small("gpt2-nano")),
        ("bert", small("bert-nano")),
        ("bert classifier", ModelConfig { head: classifier.clone(), ..small("bert-nano") }),
        ("modernbert", modernbert(&|_| {})),
        (
            "modernbert with biases",
            modernbert(&|m| (m.attention_bias, m.mlp_bias, m.norm_bias, m.classifier_bias) = (true, true, true, true)),
        ),
        ("modernbert classifier", ModelConfig { head: classifier.clone(), ..modernbert(&|_| {}) }),
        ("modernbert mean classifier", ModelConfig { head: classifier, ..modernbert(&|m| m.classifier_pooling = Pooling::Mean) }),
    ]
}

/// Two sequences of `time` tokens, the second of two documents.
struct Given {
    tokens: Vec<u32>,
    targets: Vec<i32>,
    starts: Vec<i32>,
    types: Option<Vec<u32>>,
}

impl Given {
    fn new(config: &ModelConfig, time: usize, seed: u64) -> Self {
        let mut random = Random::new(seed, "batch");
        let mut below = |n: usize| random.below(n as u64);
        let tokens: Vec<u32> = (0..2 * time).map(|_| below(config.vocab_size) as u32).collect();
        let end = time as i32;
        // The loader fills up with the end.
        let starts = vec![0, end, end + end / 3, 2 * end, 2 * end, 2 * end];
        let n = if matches!(config.head, Head::Classifier { .. }) { 3 } else { 2 * time };
        let outputs = config.n_outputs().max(1);
        let targets = (0..n).map(|i| if i % 7 == 1 { -1 } else { below(outputs) as i32 }).collect();
        let types = matches!(config.family, Family::Bert { .. }).then(|| (0..2 * time).map(|_| below(2) as u32).collect());
        Self { tokens, targets, starts, types }
    }

    fn batch(&self) -> Batch<'_> {
        Batch { cu_seqlens: Some(&self.starts), token_types: self.types.as_deref(), ..Batch::new(&self.tokens, &self.targets) }
    }
}

fn weights(config: &ModelConfig, seed: u64) -> Weights {
    let mut weights = Weights::init(config, seed).expect("init");
    // Biases of 0 and norms of 1 would hide mistakes.
    let mut random = Random::new(seed, "vectors");
    let vectors = weights.table.n_decayed();
    weights.data[vectors..].iter_mut().for_each(|x| *x += (0.2 * random.normal()) as f32);
    weights
}

#[test]
fn gradients_of_every_family_agree_with_finite_differences_in_f64() {
    for (name, config) in kinds() {
        let weights = weights(&config, 3);
        let mut network = Network::new(Reference::new(), &weights, 2, 9).expect(name);
        let given = Given::new(&config, 9, 1);
        network.loss_and_grads(&given.batch(), 1.0).expect(name);
        let (params, grads) = (network.params_view(), network.grads_view());
        let grads = network.backend_mut().slice(grads).to_vec();
        assert!(grads.iter().all(|g| g.is_finite()), "{name}");
        let mut loss_at = |place: usize, shift: f64| {
            network.backend_mut().slice_mut(params)[place] += shift;
            let step = network.take(&given.batch(), Judged::Targets).expect("batch");
            network.forward(step);
            network.judge(step, false);
            let sum: f64 = network.backend.slice(network.a.losses.part(0, step.n_judged)).iter().sum();
            network.backend_mut().slice_mut(params)[place] -= shift;
            sum
        };
        let mut random = Random::new(5, "places");
        for param in weights.table.iter() {
            for _ in 0..3 {
                let place = param.offset + random.below(param.len() as u64) as usize;
                let h = 5e-4;
                let mut change = |h: f64| loss_at(place, h) - loss_at(place, -h);
                // Two widths cancel the cubic term.
                let slope = (8.0 * change(h) - change(2.0 * h)) / (12.0 * h);
                let error = (slope - grads[place]).abs() / (slope.abs() + grads[place].abs() + 1e-2);
                assert!(error < 1e-6, "{name}: {} at {place}: {slope} by differences, {} by the backward pass", param.name, grads[place]);
            }
        }
    }
}

#[test]
fn the_cpu_agrees_with_the_reference_on_loss_logits_and_every_gradient() {
    for (name, config) in kinds() {
        let weights = weights(&config, 4);
        let given = Given::new(&config, 32, 2);
        let mut cpu = Network::new(Cpu::new(), &weights, 2, 32).expect(name);
        let mut reference = Network::new(Reference::new(), &weights, 2, 32).expect(name);
        let ours = cpu.loss_and_grads(&given.batch(), 0.5).expect(name);
        let truth = reference.loss_and_grads(&given.batch(), 0.5).expect(name);
        assert!((ours.sum / truth.sum - 1.0).abs() < 1e-5 && ours.count == truth.count, "{name}: {ours:?} {truth:?}");
        let grads_view = reference.grads_view();
        let grads = reference.backend_mut().slice(grads_view).to_vec();
        for param in weights.table.iter() {
            let part = param.offset..param.offset + param.len();
            let norm = grads[part.clone()].iter().map(|g| g * g).sum::<f64>().sqrt();
            let distance = cpu.grads()[part.clone()].iter().zip(&grads[part]).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>().sqrt();
            // Biases of keys have no gradient but rounding.
            assert!(distance <= 3e-5 * norm + 3e-5, "{name}: {}: {distance} of {norm}", param.name);
        }
        let (a, b) = (cpu.logits(&given.batch()).expect(name), reference.logits(&given.batch()).expect(name));
        assert!(a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4), "{name}");
    }
}

#[test]
fn bf16_stays_near_f32_in_loss_and_gradients() {
    for (name, config) in kinds() {
        let config = ModelConfig { initializer_range: 0.1, ..config };
        let weights = Weights::init(&config, 4).expect("init");
        let given = Given::new(&config, 32, 2);
        let mut plain = Network::new(Cpu::new(), &weights, 2, 32).expect(name);
        let options = NetworkOptions { dtype: Dtype::Bf16, ..NetworkOptions::new(2, 32) };
        let mut half = Network::with_options(Cpu::new(), &weights, options).expect(name);
        let (a, b) = (plain.loss_and_grads(&given.batch(), 1.0).expect(name), half.loss_and_grads(&given.batch(), 1.0).expect(name));
        assert!((a.sum / b.sum - 1.0).abs() < 5e-3, "{name}: {a:?} {b:?}");
        let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
        let (x, y) = (plain.grads(), half.grads());
        let cosine = dot(x, y) / (dot(x, x) * dot(y, y)).sqrt();
        assert!(cosine > 0.999 && (dot(x, x) / dot(y, y)).sqrt().ln().abs() < 0.02, "{name}: {cosine}");
        let step = AdamW { lr: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, step: 1, clip: 1.0 };
        half.update(step);
        // Rows meet the matrices as they are after the update.
        let after = half.loss(&given.batch()).expect(name);
        let updated = half.weights();
        let mut again = Network::with_options(Cpu::new(), &updated, options).expect(name);
        assert_eq!(again.loss(&given.batch()).expect(name), after, "{name}");
        assert!(after.sum < b.sum, "{name}: {after:?} {b:?}");
    }
}

#[test]
fn what_is_computed_again_gives_the_same_bits_in_less_memory() {
    for (name, config) in kinds() {
        let (weights, given) = (weights(&config, 4), Given::new(&config, 16, 2));
        for dtype in [Dtype::F32, Dtype::Bf16] {
            let run = |recompute: Recompute| {
                let options = NetworkOptions { dtype, recompute, ..NetworkOptions::new(2, 16) };
                let mut network = Network::with_options(Cpu::new(), &weights, options).expect(name);
                let loss = network.loss_and_grads(&given.batch(), 0.5).expect(name);
                ((loss, network.grads().to_vec()), memory_bytes(&config, &options))
            };
            let (kept, all) = run(Recompute::None);
            let (pointwise, less) = run(Recompute::Pointwise);
            let (layers, least) = run(Recompute::Layers);
            assert!(pointwise == kept && layers == kept, "{name} {dtype:?}");
            assert!(all > less && less > least, "{name} {dtype:?}: {all} {less} {least}");
        }
        let frozen = NetworkOptions { frozen: true, ..NetworkOptions::new(2, 16) };
        let mut judge = Network::with_options(Cpu::new(), &weights, frozen).expect(name);
        let mut plain = Network::new(Cpu::new(), &weights, 2, 16).expect(name);
        assert_eq!(judge.loss(&given.batch()).expect(name), plain.loss(&given.batch()).expect(name), "{name}");
    }
}

#[test]
fn a_document_in_a_sequence_gives_what_it_gives_alone() {
    for (name, config) in kinds() {
        let weights = weights(&config, 6);
        let mut packed = Network::new(Cpu::new(), &weights, 1, 20).expect(name);
        let mut alone = Network::new(Cpu::new(), &weights, 1, 12).expect(name);
        let tokens: Vec<u32> = (0..20).map(|i| (i * 7 + 3) % 61).collect();
        let starts = [0, 8, 20];
        let together = Batch { cu_seqlens: Some(&starts), ..Batch::of(&tokens) };
        let all = packed.logits(&together).expect(name);
        let one = alone.logits(&Batch::of(&tokens[8..])).expect(name);
        let behind = &all[all.len() - one.len()..];
        assert!(one.iter().zip(behind).all(|(a, b)| (a - b).abs() < 1e-5), "{name}");
        for pooling in [Pooling::Cls, Pooling::Mean] {
            let all = packed.embeddings(&together, pooling).expect(name);
            let one = alone.embeddings(&Batch::of(&tokens[8..]), pooling).expect(name);
            assert!(all.len() == 64 && one.iter().zip(&all[32..]).all(|(a, b)| (a - b).abs() < 1e-5), "{name}");
        }
        let states = alone.hidden_states(&Batch::of(&tokens[8..])).expect(name);
        let mean = alone.embeddings(&Batch::of(&tokens[8..]), Pooling::Mean).expect(name);
        for (c, x) in mean.iter().enumerate() {
            let sum: f32 = (0..12).map(|t| states[t * 32 + c]).sum();
            assert!((sum / 12.0 - x).abs() < 1e-5, "{name}");
        }
    }
}

#[test]
fn only_targets_count_and_ignored_ones_change_nothing() {
    for (name, config) in kinds() {
        let weights = weights(&config, 6);
        let mut network = Network::new(Cpu::new(), &weights, 2, 12).expect(name);
        let given = Given::new(&config, 12, 9);
        let losses = network.target_losses(&given.batch()).expect(name);
        assert_eq!(losses.len(), given.targets.len());
        assert!(losses.iter().zip(&given.targets).all(|(l, t)| (*t < 0) == (*l == 0.0)), "{name}");
        let loss = network.loss(&given.batch()).expect(name);
        assert_eq!(loss.count, given.targets.iter().filter(|t| **t >= 0).count() as u64);
        let none = vec![-1; given.targets.len()];
        let nothing = Batch { targets: &none, ..given.batch() };
        network.zero_grads();
        assert_eq!(network.loss_and_grads(&nothing, 1.0).expect(name), Loss::default());
        assert!(network.grads().iter().all(|g| *g == 0.0), "{name}");
    }
}

#[test]
fn the_initial_loss_is_the_logarithm_of_the_vocabulary() {
    for name in ["nano", "gpt2-nano", "bert-nano", "modernbert-nano"] {
        let config = preset(name, 2048, 64).expect("preset");
        let mut network = Network::new(Cpu::new(), &Weights::init(&config, 1).expect("init"), 4, 64).expect("network");
        let mut random = Random::new(3, "batch");
        let tokens: Vec<u32> = (0..256).map(|_| random.below(2048) as u32).collect();
        let targets: Vec<i32> = (0..256).map(|_| random.below(2048) as i32).collect();
        let loss = network.loss(&Batch::new(&tokens, &targets)).expect("loss").mean();
        assert!((loss / 2048f64.ln() - 1.0).abs() < 0.01, "{name}: {loss}");
    }
}

/// Trains one batch by heart and returns the last loss.
fn learn(config: &ModelConfig, tokens: &[u32], targets: &[i32], n_steps: u64, dtype: Dtype, muon: Option<MuonStep>) -> f64 {
    let options = NetworkOptions { dtype, ..NetworkOptions::new(4, 32) };
    let mut network = Network::with_options(Cpu::new(), &Weights::init(config, 1).expect("init"), options).expect("network");
    let scale = 1.0 / targets.iter().filter(|t| **t >= 0).count() as f32;
    let mut loss = f64::INFINITY;
    for step in 1..=n_steps {
        network.zero_grads();
        loss = network.loss_and_grads(&Batch::new(tokens, targets), scale).expect("grads").mean();
        let lr = 2e-3 * (step as f32 / 20.0).min(1.0);
        let adamw = AdamW { lr, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.0, step, clip: 1.0 };
        match muon {
            Some(muon) => network.update_with_muon(adamw, muon),
            None => network.update(adamw),
        }
    }
    loss
}

#[test]
fn a_model_of_one_million_parameters_learns_one_batch_by_heart() {
    let muon = MuonStep { lr: 5e-3, momentum: 0.95, weight_decay: 0.0 };
    for name in ["nano", "gpt2-nano", "bert-nano", "modernbert-nano"] {
        let config = preset(name, 4096, 32).expect("preset");
        assert!((700_000..1_500_000).contains(&config.n_params()));
        let mut random = Random::new(4, "batch");
        let mut tokens: Vec<u32> = (0..128).map(|_| random.below(4096) as u32).collect();
        // Random text with distinct beginnings: the next token follows from the ones before it; hidden ones from all.
        let next = |i: usize| if i % 32 == 31 { -1 } else { tokens[i + 1] as i32 };
        let hidden = |i: usize| if i % 6 == 2 { tokens[i] as i32 } else { -1 };
        let targets: Vec<i32> = (0..128).map(|i| if config.is_decoder() { next(i) } else { hidden(i) }).collect();
        if !config.is_decoder() {
            (0..128).filter(|i| i % 6 == 2).for_each(|i| tokens[i] = 3);
        }
        for (dtype, muon) in [(Dtype::F32, None), (Dtype::F32, Some(muon)), (Dtype::Bf16, None)] {
            let loss = learn(&config, &tokens, &targets, 150, dtype, muon);
            assert!(loss < 0.01, "{name} {dtype:?} {}: {loss}", muon.is_some());
        }
    }
}

#[test]
fn a_part_of_a_batch_gives_the_same_bits_as_alone() {
    for (name, config) in kinds().into_iter().filter(|(_, c)| !matches!(c.head, Head::Classifier { .. })) {
        let tokens: Vec<u32> = (0..96).map(|i| (i * 11 + 5) % 61).collect();
        let mut large = Network::new(Cpu::new(), &weights(&config, 6), 3, 32).expect(name);
        let all = large.logits(&Batch::of(&tokens)).expect(name);
        let again = large.logits(&Batch::of(&tokens[..32])).expect(name);
        assert_eq!(again, all[..32 * 61], "{name}");
    }
}

/// The most probable of a row's logits, of equals the first.
fn best(logits: &[f32]) -> u32 {
    let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    logits.iter().position(|x| *x == greatest).expect("a logit") as u32
}

#[test]
fn choices_of_every_kind_are_the_losses_and_the_largest_of_whole_logits() {
    for (name, config) in kinds() {
        let mut network = Network::new(Cpu::new(), &weights(&config, 6), 2, 16).expect(name);
        let given = Given::new(&config, 16, 2);
        let n_outputs = config.n_outputs();
        let choices = network.target_choices(&given.batch()).expect(name);
        let losses = network.target_losses(&given.batch()).expect(name);
        let logits = network.logits(&given.batch()).expect(name);
        assert_eq!((choices.len(), logits.len()), (given.targets.len(), given.targets.len() * n_outputs), "{name}");
        for (i, target) in given.targets.iter().enumerate() {
            let expected = (*target >= 0).then(|| (losses[i], best(&logits[i * n_outputs..][..n_outputs])));
            assert_eq!(choices[i], expected, "{name}: row {i}");
        }
    }
}

#[test]
fn of_equal_logits_the_first_is_chosen_in_every_block_of_rows() {
    let config = ModelConfig { vocab_size: 200_000, num_hidden_layers: 1, ..small("nano") };
    let mut weights = weights(&config, 6);
    // Each token has a twin behind it.
    weights.data[..200_000 * 32].chunks_mut(64).for_each(|twins| twins.copy_within(..32, 32));
    let mut network = Network::new(Cpu::new(), &weights, 3, 16).expect("network");
    let tokens: Vec<u32> = (0..48).map(|i| i * 4001 + 1).collect();
    let targets: Vec<i32> = (0..48).map(|i| if i % 3 == 0 { -1 } else { i }).collect();
    assert!(network.a.head.logits.expect("a head").len < 48 * config.vocab_size);
    let logits = network.logits(&Batch::of(&tokens)).expect("logits");
    let choices = network.target_choices(&Batch::new(&tokens, &targets)).expect("choices");
    for (i, choice) in choices.iter().enumerate() {
        let first = best(&logits[i * config.vocab_size..][..config.vocab_size]);
        assert!(
            first.is_multiple_of(2) && choice.map(|(_, id)| id) == (targets[i] >= 0).then_some(first),
            "row {i}: {choice:?}, not {first}"
        );
    }
}

#[test]
fn the_state_that_was_copied_out_goes_on_with_the_same_bits() {
    for dtype in [Dtype::F32, Dtype::Bf16] {
        let (config, options) = (small("gpt2-nano"), NetworkOptions { dtype, ..NetworkOptions::new(2, 12) });
        let given = Given::new(&config, 12, 9);
        let first = weights(&config, 6);
        let mut network = Network::with_options(Cpu::new(), &first, options).expect("network");
        let step = |network: &mut Network<Cpu>, step: u64| {
            network.zero_grads();
            network.loss_and_grads(&given.batch(), 0.1).expect("grads");
            let adamw = AdamW { lr: 1e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, step, clip: 1.0 };
            network.update_with_muon(adamw, MuonStep { lr: 1e-3, momentum: 0.95, weight_decay: 0.1 });
        };
        (1..=2).for_each(|i| step(&mut network, i));
        let [params, m, v] = network.snapshot(&mut Alone).expect("alone").expect("the first rank");
        let mut other = Network::with_options(Cpu::new(), &first, options).expect("network");
        other.restore(&params, &m, &v);
        (3..=4).for_each(|i| {
            step(&mut network, i);
            step(&mut other, i);
        });
        assert_eq!(network.snapshot(&mut Alone), other.snapshot(&mut Alone), "{dtype:?}");
    }
}

/// Ten steps of `n_ranks` ranks that share six sequences; losses, and what each rank holds in the end.
fn learn_together(config: &ModelConfig, n_ranks: usize, dtype: Dtype, muon: Option<MuonStep>) -> (Vec<f64>, Vec<[Vec<f32>; 3]>) {
    let (first, n_own) = (weights(config, 6), 6 / n_ranks);
    let mut random = Random::new(8, "batch");
    let tokens: Vec<u32> = (0..6 * 16).map(|_| random.below(config.vocab_size as u64) as u32).collect();
    let targets: Vec<i32> = (0..6 * 16).map(|_| random.below(config.vocab_size as u64) as i32).collect();
    let rank = |mut ranks: polder_compute::LocalRank| {
        let options = NetworkOptions { dtype, ..NetworkOptions::new(n_own, 16) };
        let mut network = Network::with_options(Cpu::new(), &first, options).expect("network");
        let rank = Collective::<Cpu>::rank(&ranks);
        network.join(first.table.shares(n_ranks), rank);
        let own = rank * n_own * 16..(rank + 1) * n_own * 16;
        let step = |step: u64| {
            network.zero_grads();
            let batch = Batch::new(&tokens[own.clone()], &targets[own.clone()]);
            let mut loss = [network.loss_and_grads(&batch, 1.0 / 96.0).expect("grads").sum / 96.0];
            Collective::<Cpu>::sum(&mut ranks, &mut loss).expect("sum");
            network.sum_grads(&mut ranks).expect("sum");
            let adamw = AdamW { lr: 1e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, step, clip: 1.0 };
            network.update_together(&mut ranks, adamw, muon).expect("update");
            loss[0]
        };
        let losses: Vec<f64> = (1..=10).map(step).collect();
        let params = network.params().to_vec();
        (losses, network.snapshot(&mut ranks).expect("snapshot").unwrap_or([params, Vec::new(), Vec::new()]))
    };
    let seen: Vec<(Vec<f64>, [Vec<f32>; 3])> = std::thread::scope(|scope| {
        let threads: Vec<_> = local_ranks(n_ranks).into_iter().map(|ranks| scope.spawn(|| rank(ranks))).collect();
        threads.into_iter().map(|t| t.join().expect("rank")).collect()
    });
    (seen[0].0.clone(), seen.into_iter().map(|(_, state)| state).collect())
}

#[test]
fn ranks_that_share_a_batch_learn_what_one_rank_learns() {
    let muon = MuonStep { lr: 1e-3, momentum: 0.95, weight_decay: 0.1 };
    for (dtype, muon, bound) in [(Dtype::F32, None, 1e-5), (Dtype::F32, Some(muon), 1e-5), (Dtype::Bf16, None, 3e-2)] {
        let config = small("nano");
        let (alone, states) = learn_together(&config, 1, dtype, muon);
        for n_ranks in [2, 3] {
            let (losses, all) = learn_together(&config, n_ranks, dtype, muon);
            let worst = losses.iter().zip(&alone).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < bound, "{dtype:?} {n_ranks} ranks: {losses:?} {alone:?}");
            assert!(all.iter().all(|state| state[0] == all[0][0]), "ranks hold the same parameters");
            let near = |i: usize| all[0][i].iter().zip(&states[0][i]).all(|(a, b)| f64::from((a - b).abs()) < 10.0 * bound);
            assert!(near(1) && near(2), "and the first has the state of all");
            let far = all[0][0].iter().zip(&states[0][0]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(f64::from(far) < 200.0 * bound, "{far}");
        }
        assert!(alone[9] < alone[0], "{alone:?}");
    }
}

#[test]
fn batches_that_do_not_fit_are_refused_with_what_does_not() {
    let weights = weights(&small("nano"), 6);
    let mut network = Network::new(Cpu::new(), &weights, 1, 8).expect("network");
    let (tokens, targets) = ([1u32; 8], [1i32; 8]);
    let good = Batch::new(&tokens, &targets);
    assert!(network.loss(&good).is_ok());
    let starts: [&[i32]; 4] = [&[0, 8, 9], &[1, 8], &[0, 4, 4, 8], &[-1, 8]];
    for bad in [
        Batch::new(&[1; 7], &[1; 7]),
        Batch::new(&[1; 16], &[1; 16]),
        Batch::new(&[61; 8], &[1; 8]),
        Batch::new(&[1; 8], &[61; 8]),
        Batch::new(&[1; 8], &[1; 7]),
        Batch { positions: Some(&[32; 8]), ..good },
        Batch { positions: Some(&[1; 7]), ..good },
        Batch { token_types: Some(&[0; 8]), ..good },
        Batch { cu_seqlens: Some(starts[0]), ..good },
        Batch { cu_seqlens: Some(starts[1]), ..good },
        Batch { cu_seqlens: Some(starts[2]), ..good },
        Batch { cu_seqlens: Some(starts[3]), ..good },
    ] {
        assert!(matches!(network.loss(&bad), Err(ModelError::Input { .. })), "{bad:?}");
    }
    assert!(Network::new(Cpu::new(), &weights, 1, 33).is_err());
    let mut two = Network::new(Cpu::new(), &weights, 2, 8).expect("network");
    let over = Batch { cu_seqlens: Some(&[0, 10, 16]), ..Batch::new(&[1; 16], &[1; 16]) };
    assert!(two.loss(&over).expect_err("over the end").to_string().contains("10"));
    let frozen = NetworkOptions { frozen: true, ..NetworkOptions::new(1, 8) };
    let mut frozen = Network::with_options(Cpu::new(), &weights, frozen).expect("network");
    assert_eq!(frozen.loss(&good).expect("loss"), network.loss(&good).expect("loss"));
    assert!(frozen.loss_and_grads(&good, 1.0).is_err());
}

#[test]
fn the_plan_of_memory_is_what_a_network_asks_for() {
    for (name, config) in kinds() {
        for (dtype, frozen) in [(Dtype::F32, false), (Dtype::Bf16, false), (Dtype::F32, true)] {
            let options = NetworkOptions { dtype, frozen, ..NetworkOptions::new(2, 16) };
            let planned = memory_bytes(&config, &options);
            let mut network = Network::with_options(Counted::default(), &weights(&config, 1), options).expect(name);
            let mut asked = network.backend.bytes;
            if !frozen {
                network.snapshot(&mut Alone).expect("alone");
                asked = network.backend.bytes;
            }
            assert_eq!(asked, planned, "{name} {options:?}");
        }
    }
}

mod counted;
mod decode;
mod emulated;
use counted::Counted;
