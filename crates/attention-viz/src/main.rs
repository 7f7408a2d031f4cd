//! `attention-viz`: look at attention files in the browser, or turn them into pages and tables.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use attention_viz::{
    Against, Choice, Error, ExportOptions, Exported, LineBy, RunIndex, ServerOptions, SinkHandling, export_comparison,
    export_record, export_turns, run_folders, serve, show_record,
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
    /// Where the files go, named by record and view; several runs get a folder each
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What is written; several, separated by commas
    #[arg(long, value_delimiter = ',', value_enum, default_value = "html,csv,svg", value_name = "FORMAT")]
    format: Vec<Form>,
    /// Compare records too: with those of the same example but layout=NAME, strategy=NAME, model=NAME or run=NAME, or
    /// with one record (its id or file)
    #[arg(long, value_name = "WHAT")]
    against: Option<Against>,
    /// Write only comparisons and numbers over turns, not the views of single records
    #[arg(long)]
    no_records: bool,
    /// Tokens that are selected in the map, e.g. 120-131: new ones, or ones of the prompt
    #[arg(long, value_name = "TOKENS", value_parser = selection)]
    select: Option<Range<usize>>,
    /// Number of the records that is written over turns
    #[arg(long, default_value = "sra", value_name = "NAME")]
    value: String,
    /// What makes a line of its own over turns
    #[arg(long, value_enum, default_value_t = By::Layout)]
    by: By,
    #[command(flatten)]
    view: View,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    Layout,
    Strategy,
    Model,
    Run,
}

impl By {
    fn line(self) -> LineBy {
        match self {
            Self::Layout => LineBy::Layout,
            Self::Strategy => LineBy::Strategy,
            Self::Model => LineBy::Model,
            Self::Run => LineBy::Run,
        }
    }
}

/// `first-last`, both part of it, or one number.
fn selection(text: &str) -> Result<Range<usize>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.trim().parse::<u32>().map(|number| number as usize).map_err(|_| "no token range");
    let (first, last) = (number(first)?, number(last)?);
    if first <= last { Ok(first..last + 1) } else { Err("the last token stands before the first".into()) }
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
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode, Error> {
    match arguments.command {
        Command::Serve(options) => {
            let index = RunIndex::open(&options.runs)?;
            index.listing().problems.iter().for_each(|problem| eprintln!("left out: {problem}"));
            let settings = ServerOptions { address: options.address, hosts: options.allow_host };
            serve(index, &settings, |address| println!("http://{address}/  (Ctrl-C ends)"))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Export(options) => export(&options),
        Command::Show(options) => {
            print!("{}", show_record(&options.file, &options.view.span, &options.view.choice())?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Writes all that can be written; damaged files are told and make the exit code 1.
fn export(options: &Export) -> Result<ExitCode, Error> {
    let has = |form| options.format.contains(&form);
    let settings = ExportOptions {
        span: options.view.span.clone(),
        choice: options.view.choice(),
        select: options.select.clone(),
        html: has(Form::Html),
        csv: has(Form::Csv),
        svg: has(Form::Svg),
        png: has(Form::Png),
    };
    let index = RunIndex::open(&options.runs)?;
    index.listing().problems.iter().for_each(|problem| eprintln!("left out: {problem}"));
    let pairs = options.against.as_ref().map(|against| index.pairs(against)).transpose()?;
    let folders = run_folders(&index, &options.out);
    let files: Vec<(usize, &Path)> = index.files().filter(|_| !options.no_records).collect();
    let mut damaged = index.damaged();
    let mut exported = Vec::new();
    for (run, file) in files {
        let done = export_record(file, &folders[run], &settings);
        exported.extend(unless_damaged(done, &[file], &mut damaged)?);
    }
    if !exported.is_empty() && exported.iter().all(|exported| !exported.left_out.is_empty()) {
        return Err(Error::Missing(format!("no record has a span `{}`", settings.span)));
    }
    for (run, a, b) in pairs.into_iter().flatten() {
        let done = export_comparison(&a, &b, &folders[run], &settings);
        unless_damaged(done, &[&a, &b], &mut damaged)?;
    }
    match export_turns(index.listing(), &options.value, options.by.line(), &options.out, &settings) {
        Ok(exported) => tell(&exported),
        // Records need no numbers; a number that was asked for by name must be there.
        Err(Error::Missing(why)) if options.value == "sra" => eprintln!("left out: {why}"),
        Err(error) => return Err(error),
    }
    Ok(if damaged == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What was written, told; nothing, counted and told, where one of the files is at fault.
fn unless_damaged(
    done: Result<Exported, Error>,
    files: &[&Path],
    damaged: &mut usize,
) -> Result<Option<Exported>, Error> {
    match done {
        Ok(exported) => {
            tell(&exported);
            Ok(Some(exported))
        }
        Err(error) if files.iter().any(|file| error.is_about(file)) => {
            *damaged += 1;
            eprintln!("left out: {error}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn tell(exported: &Exported) {
    exported.left_out.iter().for_each(|why| eprintln!("left out: {why}"));
    exported.files.iter().for_each(|path| println!("{}", path.display()));
}
