@echo off
rem Start BAT OS: puter.bat --help says what else it does.
rem Only finds a Python, by running it. bat_os\cli\setup.py does the rest: it makes .venv,
rem installs what is missing, starts the watchdog and runs the client.
setlocal EnableExtensions DisableDelayedExpansion
cd /d "%~dp0"
set "CHECK=import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
set "BOOT=import sys; sys.path.insert(0, '.'); from bat_os.cli.setup import main; sys.exit(main())"

if not exist ".venv\.setup\venv" goto find
".venv\Scripts\python.exe" -I -c "%CHECK%" >nul 2>nul
if errorlevel 1 goto find
".venv\Scripts\python.exe" -I -c "%BOOT%" %*
goto done

:find
if not defined BATOS_PYTHON goto search
"%BATOS_PYTHON%" -I -c "%CHECK%" >nul 2>nul
if errorlevel 1 goto missing
"%BATOS_PYTHON%" -I -c "%BOOT%" %*
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
%PY% -I -c "%BOOT%" %*
goto done

:missing
echo BAT OS needs Python 3.11 or newer.
if defined BATOS_PYTHON echo BATOS_PYTHON names "%BATOS_PYTHON%", which is not one.
echo Install it, then start puter.bat again; or name one in BATOS_PYTHON.
pause
exit /b 1

:done
set "STATUS=%ERRORLEVEL%"
if not "%STATUS%"=="0" pause
exit /b %STATUS%
