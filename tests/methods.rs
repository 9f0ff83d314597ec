//! The methods of editing: what each preset sets, which view each schedule edits when, and that networks' gradients move a
//! scene where they should.

#[path = "support/adapter.rs"]
mod adapter;
#[path = "methods/detail.rs"]
mod detail;
#[path = "reference/formula.rs"]
mod formula;
#[path = "methods/gradients.rs"]
mod gradients;
#[path = "methods/kinds.rs"]
mod kinds;
#[path = "reference/luxen_scene.rs"]
mod luxen_scene;
#[path = "methods/runs.rs"]
mod runs;
#[path = "methods/schedules.rs"]
mod schedules;
#[path = "methods/views.rs"]
mod views;
