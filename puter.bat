@echo off
rem Start BAT OS: puter.bat --help says what else it does.
rem Only finds a Python, by running it. bat_os\cli\entry.py does the rest: it makes .venv,
rem installs what is missing, starts the watchdog and runs the client.
setlocal EnableExtensions DisableDelayedExpansion
set "HERE=%~dp0."
set FIRST=%1
set "CHECK=import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
set "BOOT=import sys; sys.path.insert(0, sys.argv.pop(1)); from bat_os.cli.entry import main; sys.exit(main())"

rem The usual case: .venv is there, and its Python runs.
if not exist "%HERE%\.venv\.setup\venv" goto find
"%HERE%\.venv\Scripts\python.exe" -I -c "%CHECK%" >nul 2>nul
if errorlevel 1 goto find
"%HERE%\.venv\Scripts\python.exe" -I -c "%BOOT%" "%HERE%" %*
goto done

:find
if not defined BATOS_PYTHON goto search
"%BATOS_PYTHON%" -I -c "%CHECK%" >nul 2>nul
if errorlevel 1 goto missing
"%BATOS_PYTHON%" -I -c "%BOOT%" "%HERE%" %*
goto done

:search
set "PY=py -3.13"
%PY% -I -c "%CHECK%" >nul 2>nul
if not errorlevel 1 goto found
set "PY=py -3.12"
%PY% -I -c "%CHECK%" >nul 2>nul
if not errorlevel 1 goto found
set "PY=py -3.11"
%PY% -I -c "%CHECK%" >nul 2>nul
if not errorlevel 1 goto found
set "PY=py -3"
%PY% -I -c "%CHECK%" >nul 2>nul
if not errorlevel 1 goto found
set "PY=python"
%PY% -I -c "%CHECK%" >nul 2>nul
if errorlevel 1 goto missing

:found
%PY% -I -c "%BOOT%" "%HERE%" %*
goto done

:missing
echo BAT OS needs Python 3.11 or newer, with its venv module.>&2
set "TELL=import sys; print('Found: Python', sys.version.split()[0], 'at', sys.executable)"
if not defined BATOS_PYTHON goto look
echo BATOS_PYTHON names "%BATOS_PYTHON%", which is not one.>&2
"%BATOS_PYTHON%" -I -c "%TELL%" >&2 2>nul
goto advise

:look
py -3 -I -c "%TELL%" >&2 2>nul
python -I -c "%TELL%" >&2 2>nul

:advise
echo Install it, then start puter.bat again; or name one in BATOS_PYTHON.>&2
set "STATUS=1"
goto leave

:done
set "STATUS=%ERRORLEVEL%"

:leave
rem Started by a double click: keep the window, so that the reason can be read.
if not "%STATUS%"=="0" if not defined FIRST pause
exit /b %STATUS%
