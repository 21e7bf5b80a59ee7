//! Compiled templates. The engine knows operators for its own types only: here they are taken over by [`operators`], one
//! instruction for another, so that text can be formatted with `%` and dates can be subtracted.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::sync::Arc;

use minijinja::machinery::{self, CodeGenerator, CompiledTemplate, Instruction, Instructions, TemplateConfig};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Object, ObjectRepr};
use minijinja::{AutoEscape, Environment, Error, Output, State, Value};

use crate::{analysis, operators};

/// A template or an expression whose syntax is right.
pub(crate) struct Program<'source> {
    name: &'source str,
    compiled: CompiledTemplate<'source>,
    is_expression: bool,
}

impl<'source> Program<'source> {
    /// A template: text with expressions in it.
    ///
    /// # Errors
    /// The template's syntax is broken.
    pub fn template(name: &'source str, source: &'source str) -> Result<Self, Error> {
        let program = Self::compiled(name, source)?;
        // Most templates compare nothing: they are not read twice.
        if source.contains(['<', '>']) {
            analysis::refuse_comparisons(&machinery::parse(source, name, SyntaxConfig::default())?)?;
        }
        Ok(program)
    }

    fn compiled(name: &'source str, source: &'source str) -> Result<Self, Error> {
        let config = TemplateConfig {
            syntax_config: SyntaxConfig::default(),
            default_auto_escape: Arc::new(|_| AutoEscape::None),
        };
        let mut compiled = CompiledTemplate::new(name, source, &config)?;
        with_operators(&mut compiled.instructions);
        compiled.blocks.values_mut().for_each(with_operators);
        Ok(Program { name, compiled, is_expression: false })
    }

    /// One expression, without braces around it.
    ///
    /// # Errors
    /// The expression's syntax is broken.
    pub fn expression(name: &'source str, source: &'source str) -> Result<Self, Error> {
        let mut generator = CodeGenerator::new(name, source);
        let parsed = machinery::parse_expr(source)?;
        analysis::refuse_comparisons_in(&parsed)?;
        generator.compile_expr(&parsed);
        let (mut instructions, blocks) = generator.finish();
        with_operators(&mut instructions);
        let compiled = CompiledTemplate {
            instructions,
            blocks,
            buffer_size_hint: 0,
            syntax_config: SyntaxConfig::default(),
            initial_auto_escape: AutoEscape::None,
        };
        Ok(Program { name, compiled, is_expression: true })
    }

    /// Renders a template. Text is written as it is; values go through the environment's formatter, which has to ask
    /// [`run_if_program`] first.
    ///
    /// # Errors
    /// It names something that does not exist, or does with it what cannot be done.
    pub fn render_to<W: io::Write>(
        &self,
        environment: &Environment<'_>,
        context: &Value,
        writer: W,
    ) -> Result<(), Error> {
        let started = Started {
            name: self.name.to_owned(),
            source: self.compiled.instructions.source().to_owned(),
            context: context.clone(),
        };
        let outer = Value::from_pairs([("program", Value::from_object(started))]);
        environment.template_from_named_str(self.name, "{{ program }}")?.render_captured_to(outer, writer).map(drop)
    }

    /// The value of an expression.
    ///
    /// # Errors
    /// As [`Program::render_to`].
    pub fn value(&self, environment: &Environment<'_>, context: &Value) -> Result<Value, Error> {
        let mut nothing = String::new();
        self.run(environment, context, &mut machinery::make_string_output(&mut nothing)).map(Option::unwrap_or_default)
    }

    /// The names that it takes from its context, with dots: `params.region`.
    pub fn undeclared_variables(&self) -> HashSet<String> {
        let source = self.compiled.instructions.source();
        let environment = Environment::empty();
        if self.is_expression {
            return environment
                .compile_expression(source)
                .map(|names| names.undeclared_variables(true))
                .unwrap_or_default();
        }
        environment.template_from_str(source).map(|names| names.undeclared_variables(true)).unwrap_or_default()
    }

    fn run(
        &self,
        environment: &Environment<'_>,
        context: &Value,
        output: &mut Output<'_>,
    ) -> Result<Option<Value>, Error> {
        let CompiledTemplate { instructions, blocks, .. } = &self.compiled;
        machinery::eval(environment, instructions, context.clone(), blocks, output, AutoEscape::None)
            .map(|(value, _)| value)
    }
}

/// A template that is being rendered. The engine does not let others write to where its own templates write; so one of its
/// own prints this.
#[derive(Debug)]
struct Started {
    name: String,
    source: String,
    context: Value,
}

impl Object for Started {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Runs the program that a formatter is to print. Says whether there was one.
///
/// # Errors
/// As [`Program::render_to`].
pub(crate) fn run_if_program(output: &mut Output<'_>, state: &State<'_, '_>, value: &Value) -> Result<bool, Error> {
    let Some(started) = value.downcast_object_ref::<Started>() else { return Ok(false) };
    // Whoever began to render it has checked it.
    Program::compiled(&started.name, &started.source)?.run(state.env(), &started.context, output)?;
    Ok(true)
}

/// Filters are looked up by their names alone: no variable can stand in for one. This one is never cached.
const NOT_CACHED: u8 = u8::MAX;

fn with_operators(instructions: &mut Instructions<'_>) {
    for index in 0.. {
        let Some(instruction) = instructions.get_mut(index) else { break };
        let (operator, operands) = match instruction {
            Instruction::Add => (operators::ADD, 2),
            Instruction::Sub => (operators::SUBTRACT, 2),
            Instruction::Mul => (operators::MULTIPLY, 2),
            Instruction::Div => (operators::DIVIDE, 2),
            Instruction::IntDiv => (operators::FLOOR_DIVIDE, 2),
            Instruction::Rem => (operators::REMAINDER, 2),
            Instruction::Neg => (operators::NEGATE, 1),
            Instruction::Eq => (operators::EQUAL, 2),
            Instruction::Ne => (operators::NOT_EQUAL, 2),
            Instruction::Lt => (operators::LESS, 2),
            Instruction::Lte => (operators::LESS_OR_EQUAL, 2),
            Instruction::Gt => (operators::GREATER, 2),
            Instruction::Gte => (operators::GREATER_OR_EQUAL, 2),
            Instruction::StringConcat => (operators::CONCATENATE, 2),
            _ => continue,
        };
        *instruction = Instruction::ApplyFilter(operator, Some(operands), NOT_CACHED);
    }
}
