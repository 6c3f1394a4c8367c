//! `polder doctor`: what this machine and this lake have, and what is missing.

use polder_base::units;
use polder_compute::cuda::Probe;
use polder_lake::Lake;
use serde_json::json;

use crate::failure::OrAdvise;
use crate::machine::Machine;
use crate::output;
use crate::world::World;

pub fn run(world: &mut World) -> anyhow::Result<()> {
    let machine = Machine::look();
    let gpus = polder_compute::cuda::probe();
    let lake = world.block_on(async { Ok(Lake::open(&world.root).await.or_advise()) })?;
    let tables = match &lake {
        Ok(lake) => lake.tables_place().unwrap_or("in the lake's folder").to_owned(),
        Err(_) => "in the lake's folder, or at s3://BUCKET/PREFIX".to_owned(),
    };
    let lake = match lake {
        Ok(_) => format!("{} (format 1)", world.root.display()),
        Err(error) => format!("{} · {error}", world.root.display()),
    };
    let gpu = match gpus {
        Probe::Found(devices) if !devices.is_empty() => {
            devices.iter().map(|d| format!("{} ({})", d.name, units::bytes(d.memory_bytes))).collect::<Vec<_>>().join(", ")
        }
        Probe::Found(_) | Probe::NoDriver => "none; training uses the processor".to_owned(),
        Probe::Unusable(reason) => format!("none that works ({reason}); training uses the processor"),
    };
    if world.json {
        return output::object(
            "polder.doctor",
            &json!({
                "processor": machine.processor, "threads": machine.threads, "memory_bytes": machine.memory_bytes,
                "memory_available_bytes": machine.memory_available_bytes, "features": machine.features, "gpu": gpu, "lake": lake, "tables": tables,
                "version": env!("CARGO_PKG_VERSION"),
            }),
        );
    }
    let rows = [
        ("program", format!("polder {}", env!("CARGO_PKG_VERSION"))),
        ("processor", format!("{}, {} threads, {}", machine.processor, machine.threads, machine.features.join(" "))),
        ("memory", format!("{}, {} free", units::bytes(machine.memory_bytes), units::bytes(machine.memory_available_bytes))),
        ("GPU", gpu),
        ("lake", lake),
        ("tables", tables),
    ];
    let cells: Vec<Vec<String>> = rows.iter().map(|(k, v)| vec![(*k).to_owned(), v.clone()]).collect();
    output::data(&output::table(&["what", "here"], &cells, &[]))
}
