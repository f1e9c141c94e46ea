#pragma once

namespace templora {

/// Installs handlers for SIGINT, SIGTERM, SIGHUP and SIGUSR1 that only set a flag; a second SIGINT kills at once.
void install_stop_handlers();

/// True once one of them came: long loops save their state at the next boundary and throw Error(interrupted).
bool stop_requested();

/// The signal's name ("SIGTERM"), or "" if none came.
const char* stop_signal_name();

}  // namespace templora
