//! Every key of a unit file, in one table: section, name, form, default, and whether this version acts on it.
//!
//! Owns which keys there are; `form.rs` says what a form takes and `parse.rs` reads the table, so that a key is
//! described once.

use super::form::{Bound, Form};

/// A key of a unit file.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub section: &'static str,
    pub name: &'static str,
    pub form: Form,
    /// What holds where the key is left out, as a text for people.
    pub default: &'static str,
    /// Whether this version acts on it; else `start` refuses by its name.
    pub honoured: bool,
}

/// The sections, in the order of the manual.
pub(super) const SECTIONS: [&str; 7] = [
    "unit", "service", "socket", "timer", "watch", "health", "install",
];

/// All keys, section by section.
#[must_use]
pub fn keys() -> &'static [Key] {
    &KEYS
}

/// The section as this table writes it.
pub(super) fn section(name: &str) -> Option<&'static str> {
    SECTIONS.into_iter().find(|section| *section == name)
}

/// The key of a section.
pub(super) fn find(section: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter()
        .find(|key| key.section == section && key.name == name)
}

const fn now(section: &'static str, name: &'static str, form: Form, default: &'static str) -> Key {
    Key {
        section,
        name,
        form,
        default,
        honoured: true,
    }
}

const fn later(
    section: &'static str,
    name: &'static str,
    form: Form,
    default: &'static str,
) -> Key {
    Key {
        section,
        name,
        form,
        default,
        honoured: false,
    }
}

static KEYS: [Key; 193] = [
    now("unit", "Description", Form::Line, ""),
    now("unit", "Documentation", Form::Links, ""),
    now("unit", "Requires", Form::Names, ""),
    now("unit", "Wants", Form::Names, ""),
    now("unit", "After", Form::Names, ""),
    now("unit", "Before", Form::Names, ""),
    now("unit", "Requisite", Form::Names, ""),
    now("unit", "BindsTo", Form::Names, ""),
    now("unit", "PartOf", Form::Names, ""),
    now("unit", "Upholds", Form::Names, ""),
    now("unit", "Conflicts", Form::Names, ""),
    now("unit", "OnFailure", Form::Names, ""),
    now("unit", "OnSuccess", Form::Names, ""),
    now(
        "unit",
        "StartLimitIntervalSec",
        Form::Span,
        "10s where RestartSec= is given, else no limit",
    ),
    now(
        "unit",
        "StartLimitBurst",
        Form::Integer(0, 10_000),
        "5 where RestartSec= is given, else no limit",
    ),
    now("unit", "RefuseManualStart", Form::Flag, "false"),
    now("unit", "RefuseManualStop", Form::Flag, "false"),
    now("unit", "StopWhenUnneeded", Form::Flag, "false"),
    now("unit", "ConditionPathExists", Form::Conditions, ""),
    now("unit", "ConditionPathIsDirectory", Form::Conditions, ""),
    now("unit", "ConditionFileNotEmpty", Form::Conditions, ""),
    now("unit", "ConditionEnvironment", Form::Conditions, ""),
    now("unit", "ConditionUser", Form::Conditions, ""),
    now("unit", "ConditionHost", Form::Conditions, ""),
    now("unit", "AssertPathExists", Form::Conditions, ""),
    now("unit", "AssertPathIsDirectory", Form::Conditions, ""),
    now("unit", "AssertFileNotEmpty", Form::Conditions, ""),
    now("unit", "AssertEnvironment", Form::Conditions, ""),
    now("unit", "AssertUser", Form::Conditions, ""),
    now("unit", "AssertHost", Form::Conditions, ""),
    // Kind.
    now(
        "service",
        "Type",
        Form::Word(&[
            "simple",
            "exec",
            "oneshot",
            "forking",
            "notify",
            "notify-reload",
        ]),
        "simple",
    ),
    now("service", "RemainAfterExit", Form::Flag, "false"),
    now("service", "PIDFile", Form::PidFile, ""),
    now("service", "GuessMainPID", Form::Flag, "true"),
    now("service", "Instances", Form::Integer(0, 1_000), ""),
    now("service", "IgnoreUnsupported", Form::Keys, ""),
    // Commands.
    now("service", "ExecCondition", Form::Commands, ""),
    now("service", "ExecStartPre", Form::Commands, ""),
    now("service", "ExecStart", Form::Commands, ""),
    now("service", "ExecStartPost", Form::Commands, ""),
    now("service", "ExecReload", Form::Commands, ""),
    now("service", "ExecStop", Form::Commands, ""),
    now("service", "ExecStopPost", Form::Commands, ""),
    // Restart.
    now(
        "service",
        "Restart",
        Form::Word(&[
            "no",
            "always",
            "on-success",
            "on-failure",
            "on-abnormal",
            "on-abort",
            "on-watchdog",
        ]),
        "no",
    ),
    now(
        "service",
        "RestartSec",
        Form::Span,
        "100ms, doubling up to 60s",
    ),
    now("service", "RestartSteps", Form::Integer(0, 1_000), "0"),
    now("service", "RestartMaxDelaySec", Form::Span, "infinity"),
    now(
        "service",
        "RestartJitter",
        Form::Percent,
        "10 where RestartSec= is left out, else 0",
    ),
    now("service", "RestartResetSec", Form::Span, "1min"),
    now("service", "SuccessExitStatus", Form::Statuses, ""),
    now("service", "RestartPreventExitStatus", Form::Statuses, ""),
    now("service", "RestartForceExitStatus", Form::Statuses, ""),
    now("service", "RestartMemoryMax", Form::Size, "infinity"),
    later("service", "RestartOnCalendar", Form::Texts, ""),
    // Time limits.
    now(
        "service",
        "TimeoutStartSec",
        Form::Span,
        "1min 30s; infinity for oneshot",
    ),
    now("service", "TimeoutStopSec", Form::Span, "10s"),
    now("service", "TimeoutSec", Form::Span, ""),
    now("service", "TimeoutAbortSec", Form::Span, "TimeoutStopSec="),
    now("service", "RuntimeMaxSec", Form::Span, "infinity"),
    // Readiness.
    now(
        "service",
        "NotifyAccess",
        Form::Word(&["none", "main", "exec", "all"]),
        "none; main for notify",
    ),
    now("service", "WatchdogSec", Form::Span, "0"),
    now("service", "ReadyWhen", Form::Ready, ""),
    // Stopping.
    now(
        "service",
        "KillMode",
        Form::Word(&["control-group", "mixed", "process", "none"]),
        "control-group",
    ),
    now("service", "KillSignal", Form::Signal, "SIGTERM"),
    now("service", "SendSIGKILL", Form::Flag, "true"),
    now("service", "SendSIGHUP", Form::Flag, "false"),
    now("service", "RestartKillSignal", Form::Signal, "KillSignal="),
    now("service", "FinalKillSignal", Form::Signal, "SIGKILL"),
    now("service", "WatchdogSignal", Form::Signal, "SIGABRT"),
    now("service", "ReloadSignal", Form::Signal, "SIGHUP"),
    // Who and where.
    now("service", "User", Form::Account, "the daemon's user"),
    now("service", "Group", Form::Account, "the user's group"),
    now("service", "SupplementaryGroups", Form::Accounts, ""),
    now("service", "UMask", Form::Mode, "022"),
    now("service", "WorkingDirectory", Form::Directory, "~"),
    now("service", "RootDirectory", Form::Path, "/"),
    now("service", "RuntimeDirectory", Form::Folders, ""),
    now("service", "RuntimeDirectoryMode", Form::Mode, "755"),
    now(
        "service",
        "RuntimeDirectoryPreserve",
        Form::FlagOr(&["no", "yes", "restart"]),
        "no",
    ),
    now("service", "StateDirectory", Form::Folders, ""),
    now("service", "StateDirectoryMode", Form::Mode, "755"),
    now("service", "CacheDirectory", Form::Folders, ""),
    now("service", "CacheDirectoryMode", Form::Mode, "755"),
    now("service", "LogsDirectory", Form::Folders, ""),
    now("service", "LogsDirectoryMode", Form::Mode, "755"),
    now("service", "ConfigurationDirectory", Form::Folders, ""),
    now("service", "ConfigurationDirectoryMode", Form::Mode, "755"),
    // Environment.
    now("service", "Environment", Form::Environment, ""),
    now("service", "EnvironmentFile", Form::EnvironmentFiles, ""),
    now("service", "PassEnvironment", Form::Variables, ""),
    now("service", "UnsetEnvironment", Form::Unset, ""),
    // Streams and the log.
    now("service", "StandardInput", Form::Input, "null"),
    now("service", "StandardOutput", Form::Output, "log"),
    now("service", "StandardError", Form::ErrorOutput, "log"),
    now("service", "LogMaxSize", Form::Size, "10M"),
    now("service", "LogMaxFiles", Form::Integer(1, 1_000), "5"),
    now(
        "service",
        "LogCompress",
        Form::Word(&["none", "gzip", "zstd"]),
        "none",
    ),
    now(
        "service",
        "LogPolicy",
        Form::Word(&["block", "drop"]),
        "block",
    ),
    now("service", "LogRateLimitIntervalSec", Form::Span, "30s"),
    now(
        "service",
        "LogRateLimitBurst",
        Form::Integer(0, i32::MAX as i64),
        "no limit",
    ),
    // Scheduling.
    now("service", "Nice", Form::Integer(-20, 19), "0"),
    now(
        "service",
        "OOMScoreAdjust",
        Form::Integer(-1_000, 1_000),
        "the daemon's",
    ),
    now("service", "CPUAffinity", Form::Cpus, "all"),
    now(
        "service",
        "CPUSchedulingPolicy",
        Form::Word(&["other", "batch", "idle", "fifo", "rr"]),
        "other",
    ),
    now("service", "CPUSchedulingPriority", Form::Integer(1, 99), ""),
    now(
        "service",
        "IOSchedulingClass",
        Form::Word(&["none", "realtime", "best-effort", "idle"]),
        "none",
    ),
    now("service", "IOSchedulingPriority", Form::Integer(0, 7), "4"),
    // Process limits.
    now(
        "service",
        "LimitCPU",
        Form::Limit(Bound::Seconds),
        "the daemon's",
    ),
    now(
        "service",
        "LimitFSIZE",
        Form::Limit(Bound::Size),
        "the daemon's",
    ),
    now(
        "service",
        "LimitDATA",
        Form::Limit(Bound::Size),
        "the daemon's",
    ),
    now(
        "service",
        "LimitSTACK",
        Form::Limit(Bound::Size),
        "the daemon's",
    ),
    now(
        "service",
        "LimitCORE",
        Form::Limit(Bound::Size),
        "the daemon's",
    ),
    now(
        "service",
        "LimitRSS",
        Form::Limit(Bound::Size),
        "the daemon's",
    ),
    now(
        "service",
        "LimitNOFILE",
        Form::Limit(Bound::Count),
        "the daemon's",
    ),
    now(
        "service",
        "LimitAS",
        Form::Limit(Bound::Size),
        "the daemon's",
    ),
    now(
        "service",
        "LimitNPROC",
        Form::Limit(Bound::Count),
        "the daemon's",
    ),
    now(
        "service",
        "LimitMEMLOCK",
        Form::Limit(Bound::Size),
        "the daemon's",
    ),
    now(
        "service",
        "LimitLOCKS",
        Form::Limit(Bound::Count),
        "the daemon's",
    ),
    now(
        "service",
        "LimitSIGPENDING",
        Form::Limit(Bound::Count),
        "the daemon's",
    ),
    now(
        "service",
        "LimitMSGQUEUE",
        Form::Limit(Bound::Size),
        "the daemon's",
    ),
    now(
        "service",
        "LimitNICE",
        Form::Limit(Bound::Nice),
        "the daemon's",
    ),
    now(
        "service",
        "LimitRTPRIO",
        Form::Limit(Bound::Count),
        "the daemon's",
    ),
    now(
        "service",
        "LimitRTTIME",
        Form::Limit(Bound::Micros),
        "the daemon's",
    ),
    // Control groups.
    now("service", "MemoryMax", Form::Memory, "infinity"),
    now("service", "MemoryHigh", Form::Memory, "infinity"),
    now("service", "MemorySwapMax", Form::Memory, "infinity"),
    now("service", "MemoryMin", Form::Memory, "0"),
    now("service", "MemoryLow", Form::Memory, "0"),
    now("service", "CPUQuota", Form::Quota, "none"),
    now("service", "CPUWeight", Form::Weight, "100"),
    now("service", "TasksMax", Form::Tasks, "infinity"),
    now("service", "IOWeight", Form::Integer(1, 10_000), "100"),
    now("service", "IOReadBandwidthMax", Form::Bandwidths, ""),
    now("service", "IOWriteBandwidthMax", Form::Bandwidths, ""),
    now(
        "service",
        "OOMPolicy",
        Form::Word(&["continue", "stop", "kill"]),
        "stop; continue with Delegate=",
    ),
    now("service", "Delegate", Form::FlagOrTexts, "false"),
    // Sandbox.
    now("service", "NoNewPrivileges", Form::Flag, "false"),
    now("service", "CapabilityBoundingSet", Form::Capabilities, ""),
    now("service", "AmbientCapabilities", Form::Capabilities, ""),
    now("service", "PrivateTmp", Form::Flag, "false"),
    now("service", "PrivateNetwork", Form::Flag, "false"),
    now("service", "PrivateDevices", Form::Flag, "false"),
    now(
        "service",
        "ProtectSystem",
        Form::FlagOr(&["full", "strict"]),
        "false",
    ),
    now(
        "service",
        "ProtectHome",
        Form::FlagOr(&["read-only", "tmpfs"]),
        "false",
    ),
    now("service", "ReadOnlyPaths", Form::Paths, ""),
    now("service", "ReadWritePaths", Form::Paths, ""),
    now("service", "InaccessiblePaths", Form::Paths, ""),
    now("service", "ProtectKernelTunables", Form::Flag, "false"),
    now("service", "RestrictAddressFamilies", Form::Families, ""),
    now("service", "SystemCallFilter", Form::SystemCalls, ""),
    now("service", "LockPersonality", Form::Flag, "false"),
    now("service", "MemoryDenyWriteExecute", Form::Flag, "false"),
    now("service", "RestrictSUIDSGID", Form::Flag, "false"),
    later("socket", "ListenStream", Form::Addresses, ""),
    later("socket", "ListenDatagram", Form::Addresses, ""),
    later("socket", "ListenSequentialPacket", Form::Addresses, ""),
    later("socket", "ListenFIFO", Form::Paths, ""),
    later("socket", "Accept", Form::Flag, "false"),
    later(
        "socket",
        "MaxConnections",
        Form::Integer(1, 1_000_000),
        "64",
    ),
    later(
        "socket",
        "Backlog",
        Form::Integer(0, i32::MAX as i64),
        "4096",
    ),
    later("socket", "SocketMode", Form::Mode, "666"),
    later("socket", "SocketUser", Form::Account, "the daemon's user"),
    later("socket", "SocketGroup", Form::Account, "the user's group"),
    later("socket", "ReusePort", Form::Flag, "false"),
    later("socket", "FreeBind", Form::Flag, "false"),
    later("socket", "KeepAlive", Form::Flag, "false"),
    later("socket", "NoDelay", Form::Flag, "false"),
    later(
        "socket",
        "BindIPv6Only",
        Form::Word(&["default", "both", "ipv6-only"]),
        "default",
    ),
    later(
        "socket",
        "FileDescriptorName",
        Form::Line,
        "the unit's name",
    ),
    later("socket", "RemoveOnStop", Form::Flag, "false"),
    later("socket", "StartOnDemand", Form::Flag, "false"),
    later("timer", "OnCalendar", Form::Texts, ""),
    later("timer", "OnActiveSec", Form::Spans, ""),
    later("timer", "OnBootSec", Form::Spans, ""),
    later("timer", "OnStartupSec", Form::Spans, ""),
    later("timer", "OnUnitActiveSec", Form::Spans, ""),
    later("timer", "OnUnitInactiveSec", Form::Spans, ""),
    later("timer", "Persistent", Form::Flag, "false"),
    later("timer", "RandomizedDelaySec", Form::Span, "0"),
    later("timer", "AccuracySec", Form::Span, "1min"),
    later("timer", "TimeZone", Form::Line, "the machine's"),
    later("watch", "Paths", Form::Texts, ""),
    later("watch", "Ignore", Form::Texts, ""),
    later(
        "watch",
        "Action",
        Form::Word(&["restart", "reload", "start"]),
        "restart",
    ),
    later("watch", "DelaySec", Form::Span, "200ms"),
    later("health", "Check", Form::Check, ""),
    later("health", "IntervalSec", Form::Span, "10s"),
    later("health", "TimeoutSec", Form::Span, "5s"),
    later("health", "Retries", Form::Integer(0, 1_000), "3"),
    later(
        "health",
        "Action",
        Form::Word(&["restart", "none"]),
        "restart",
    ),
    now("install", "WantedBy", Form::Names, ""),
    now("install", "RequiredBy", Form::Names, ""),
    now("install", "Alias", Form::Names, ""),
];
