//! The client direction: an SDK under test behind its adapter, and the proxy between it and a server.

use std::path::Path;
use std::sync::Arc;

use crate::adapter::{AdapterFile, AdapterPool, Role};
use crate::player::Cast;
use crate::report::TesteeFacts;
use crate::session::{Actor, Need, Session, Transport};
use crate::testee::StartError;
use crate::verdict::Verdict;

pub(crate) mod bind;
pub(crate) mod events;
pub(crate) mod gate;

/// A client SDK under test: its adapter, started.
#[derive(Clone)]
pub struct Sdk(pub(crate) Arc<AdapterPool>);

impl std::fmt::Debug for Sdk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Sdk").field(&self.0.name()).finish()
    }
}

impl Sdk {
    /// True if the testee file is one of a client SDK.
    ///
    /// # Errors
    /// If it cannot be read, or is no TOML.
    pub fn is_one(file: &Path) -> Result<bool, StartError> {
        AdapterFile::role_of(file).map(|role| role == Role::Client)
    }

    /// Starts the adapter of a testee file. `announce` is told where one that dials in is awaited.
    ///
    /// # Errors
    /// If the file is wrong, or the adapter does not start, says a hello that cannot be, or is not honest.
    pub async fn start(
        file: &Path,
        announce: impl Fn(String) + Send + Sync + 'static,
    ) -> Result<Sdk, StartError> {
        let file = AdapterFile::read(file)?;
        if file.role != Role::Client {
            return Err(StartError::new("the testee file is of no client"));
        }
        let pool = AdapterPool::start(file, Arc::new(announce)).await;
        pool.map(|pool| Sdk(Arc::new(pool)))
            .map_err(|fault| StartError::new(fault.to_string()))
    }

    /// Starts an adapter by its command.
    ///
    /// # Errors
    /// If it does not start, says a hello that cannot be, or is not honest.
    pub async fn of_command(name: &str, command: Vec<String>) -> Result<Sdk, StartError> {
        let file = AdapterFile::of_command(name, Role::Client, command);
        // Nobody dials in where there is a command.
        let pool = AdapterPool::start(file, Arc::new(drop)).await;
        pool.map(|pool| Sdk(Arc::new(pool)))
            .map_err(|fault| StartError::new(fault.to_string()))
    }

    /// What it says of itself.
    pub(crate) fn facts(&self) -> TesteeFacts {
        let hello = self.0.hello();
        TesteeFacts {
            name: self.0.name().to_owned(),
            version: Some(hello.version.clone()),
            role: Role::Client,
            features: hello.features.clone(),
            transports: hello.transports.clone(),
            capabilities: hello.ops.clone(),
        }
    }

    /// As reports say it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name()
    }
}

/// Who plays whom, once for each time that the case is played with these SDKs.
///
/// One SDK is each actor in turn that it can be. Two are all of them at once, the first the first of them, and the
/// second the rest: then a case needs two.
pub(crate) fn casts(sdks: &[Sdk], session: &Session) -> Vec<Cast> {
    let actors = 0..session.actors.len();
    let cast = |who: &dyn Fn(usize) -> Option<usize>| {
        let pool = |actor| Some(Arc::clone(&sdks.get(who(actor)?)?.0));
        Cast(actors.clone().map(pool).collect())
    };
    let is_testee = |actor: &usize| session.actors.get(*actor).is_some_and(|actor| actor.testee);
    let bindable = bind::bindable(session);
    match (sdks.len(), bindable.split_first()) {
        (0, _) => vec![Cast(vec![None; session.actors.len()])],
        (1, _) if session.is_client() => {
            vec![cast(&|actor| is_testee(&actor).then_some(0))]
        }
        (1, _) => bindable
            .iter()
            .map(|bound| cast(&|actor| (actor == *bound).then_some(0)))
            .collect(),
        (_, Some((first, rest))) if !rest.is_empty() => vec![cast(&|actor| match actor {
            actor if actor == *first => Some(0),
            actor => rest.contains(&actor).then_some(1),
        })],
        _ => Vec::new(),
    }
}

/// Why the case cannot be played with these SDKs, if it cannot.
pub(crate) fn lack(
    sdks: &[Sdk],
    session: &Session,
    is_borrowed: bool,
) -> Option<(Verdict, String)> {
    let not_run = |reason: &str| Some((Verdict::NotRun, reason.to_owned()));
    let casts = casts(sdks, session);
    if sdks.is_empty() && session.is_client() {
        return not_run("it tests a client SDK, and a server is tested");
    } else if sdks.is_empty() {
        return None;
    } else if casts.is_empty() {
        return not_run("no SDK can play any of its actors: it needs a raw client");
    } else if is_borrowed {
        return not_run("the server behind has no provision, and an SDK needs a user of its own");
    }
    let cast = casts.iter().flat_map(|cast| cast.0.iter().enumerate());
    let bound = cast.filter_map(|(actor, pool)| pool.as_ref().map(|pool| (actor, pool)));
    bound
        .filter_map(|(actor, pool)| lacks(pool, session, actor))
        .next()
}

/// How the gate and this SDK speak: as the actor says, and over plain TCP where it says nothing and the SDK can.
pub(crate) fn transport(pool: &AdapterPool, actor: &Actor) -> Option<Transport> {
    let spoken = &pool.hello().transports;
    let speaks = |transport: &Transport| spoken.iter().any(|name| name == transport.name());
    match actor.transport {
        Some(own) => Some(own).filter(speaks),
        None => [Transport::Tcp, Transport::Ws].into_iter().find(speaks),
    }
}

/// Why this SDK cannot play this actor.
fn lacks(pool: &AdapterPool, session: &Session, actor: usize) -> Option<(Verdict, String)> {
    let (hello, name) = (pool.hello(), pool.name());
    for need in &session.needs {
        if let Need::Feature(feature) = need
            && !hello.features.contains(feature)
        {
            return Some((Verdict::NotClaimed, format!("{name} has no {need}")));
        }
    }
    let spoken = session
        .actors
        .get(actor)
        .map(|actor| transport(pool, actor));
    if spoken.flatten().is_none() {
        let reason = format!("{name} does not speak the transport of the case");
        return Some((Verdict::NotRun, reason));
    }
    let ops = bind::ops(session, &[actor]);
    if let Some(op) = ops.iter().find(|op| !hello.can(op)) {
        return Some((
            Verdict::NotRun,
            format!("the adapter of {name} has no op {op}"),
        ));
    }
    if bind::crashes(session) && !pool.can_crash() {
        let reason = format!("{name} dialled in, and cannot be killed");
        return Some((Verdict::NotRun, reason));
    }
    None
}
