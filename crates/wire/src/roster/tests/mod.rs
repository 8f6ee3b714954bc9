mod forms;
mod properties;
mod rules;
mod world;
