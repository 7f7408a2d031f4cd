//! `attention-viz`: look at attention files in the browser, or turn them into pages and tables.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use attention_viz::{
    Choice, Error, ExportOptions, RunIndex, ServerOptions, SinkHandling, export_record, serve, show_record,
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use llm_runtime::Selection;

/// Look at attention files in the browser, or turn them into pages and tables
#[derive(Debug, Parser)]
#[command(name = "attention-viz", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve run folders to the browser
    Serve(Serve),
    /// Write views of records as tables, pictures and pages
    Export(Export),
    /// Print a record's spans and what it attends to
    Show(Show),
}

#[derive(Debug, Args)]
struct Serve {
    /// Run folders, folders of attention files, or single files
    #[arg(required = true, num_args = 1.., value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:5220", value_name = "ADDRESS")]
    address: SocketAddr,
    /// Also answer to this host name; may be repeated
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
}

#[derive(Debug, Args)]
struct View {
    /// Span that layers and heads are compared on
    #[arg(long, default_value = "strategy_name", value_name = "LABEL")]
    span: String,
    /// Layers, e.g. 0-4,9
    #[arg(long, default_value = "all", value_name = "LAYERS")]
    layers: Selection,
    /// Heads (records captured with --attention full)
    #[arg(long, default_value = "all", value_name = "HEADS")]
    heads: Selection,
    /// Position 0 and beginning-of-sequence tokens
    #[arg(long, value_enum, default_value_t = Sink::Drop)]
    sink: Sink,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sink {
    /// Set to 0, the rest renormalised
    Drop,
    /// As the model has them
    Keep,
}

impl View {
    fn choice(&self) -> Choice {
        let sink = if self.sink == Sink::Drop { SinkHandling::Drop } else { SinkHandling::Keep };
        Choice { layers: self.layers.clone(), heads: self.heads.clone(), sink }
    }
}

#[derive(Debug, Args)]
struct Export {
    /// Run folders, folders of attention files, or single files
    #[arg(required = true, num_args = 1.., value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Where the files go, named by record and view
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What is written; several, separated by commas
    #[arg(long, value_delimiter = ',', value_enum, default_value = "html,csv,svg", value_name = "FORMAT")]
    format: Vec<Form>,
    #[command(flatten)]
    view: View,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// One page for the browser that needs nothing else
    Html,
    /// Tables
    Csv,
    /// Pictures as SVG
    Svg,
    /// Pictures as PNG
    Png,
}

#[derive(Debug, Args)]
struct Show {
    /// An attention file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    view: View,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Error> {
    match arguments.command {
        Command::Serve(options) => {
            let index = RunIndex::open(&options.runs)?;
            index.listing().problems.iter().for_each(|problem| eprintln!("left out: {problem}"));
            let settings = ServerOptions { address: options.address, hosts: options.allow_host };
            serve(index, &settings, |address| println!("http://{address}/  (Ctrl-C ends)"))
        }
        Command::Export(options) => {
            let has = |form| options.format.contains(&form);
            let settings = ExportOptions {
                span: options.view.span.clone(),
                choice: options.view.choice(),
                html: has(Form::Html),
                csv: has(Form::Csv),
                svg: has(Form::Svg),
                png: has(Form::Png),
            };
            let index = RunIndex::open(&options.runs)?;
            for file in index.files() {
                export_record(file, &options.out, &settings)?.iter().for_each(|path| println!("{}", path.display()));
            }
            Ok(())
        }
        Command::Show(options) => {
            print!("{}", show_record(&options.file, &options.view.span, &options.view.choice())?);
            Ok(())
        }
    }
}
